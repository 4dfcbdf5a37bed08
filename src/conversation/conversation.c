#include "conversation/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define LONGEST_LOGIN 255
/* Words of a server that go into an error: one line, not a stack trace. */
#define LONGEST_WORDS 300
/* How often an answer that cannot be read is taken for noise on the line, and asked for again. */
#define NOISE 2

const char *pump_kind_name(pump_kind kind) {
  static const char *const names[] = {
      "authenticate", "identify",     "ping",     "append",    "delete",
      "read_event",   "read_stream",  "read_all", "subscribe", "create_group",
      "update_group", "delete_group", "consume"};
  return names[kind];
}

/* ---- Making one --------------------------------------------------------------------------- */

static int check_events(const pump_request *request) {
  size_t total = 0;
  for (size_t i = 0; i < request->count; i++) {
    const pump_new_event *event = &request->events[i];
    if (event->type.size == 0) return PUMP_EINVALID;
    size_t size = event->data.size;
    if (size > PUMP_MAX_EVENT || event->metadata.size > PUMP_MAX_EVENT - size ||
        event->type.size * 2 > PUMP_MAX_EVENT - size - event->metadata.size)
      return PUMP_ETOOLARGE;
    total += size + event->metadata.size + event->type.size;
    if (total > PUMP_MAX_FRAME) return PUMP_ETOOLARGE;
  }
  return 0;
}

static bool is_expected_version(int64_t version) {
  return version >= PUMP_ANY || version == PUMP_STREAM_EXISTS;
}

static bool check_group(const pump_request *request) {
  return request->stream.size > 0 && request->group.size > 0;
}

/* A group that has no room for a page of history never reads one, and no server says so. */
static bool check_settings(const pump_group_settings *settings) {
  return settings->from >= PUMP_END && settings->message_timeout <= INT32_MAX &&
         settings->checkpoint_after <= INT32_MAX && settings->live_buffer_size >= 1 &&
         settings->read_batch_size >= 1 && settings->buffer_size > settings->read_batch_size &&
         settings->max_retry_count >= 0 && settings->checkpoint_min_count >= 0 &&
         settings->checkpoint_max_count >= 0 && settings->subscriber_max_count >= 0;
}

static bool is_filter(const pump_filter *filter) {
  for (size_t i = 0; i < filter->count; i++)
    if (filter->texts[i].size == 0) return false;
  return filter->count <= 1 || !filter->is_regex;
}

static int check(const pump_request *request) {
  if (request->username.size > LONGEST_LOGIN || request->password.size > LONGEST_LOGIN ||
      !is_filter(&request->filter))
    return PUMP_EINVALID;
  switch (request->kind) {
  case PUMP_APPEND:
    if (request->stream.size == 0 || !is_expected_version(request->number)) return PUMP_EINVALID;
    return check_events(request);
  case PUMP_DELETE:
    return request->stream.size == 0 || !is_expected_version(request->number) ? PUMP_EINVALID : 0;
  case PUMP_READ_EVENT:
    return request->stream.size == 0 || request->number < PUMP_END ? PUMP_EINVALID : 0;
  case PUMP_READ_STREAM:
    if (request->stream.size == 0 || request->number < (request->backward ? PUMP_END : 0) ||
        request->filter.count > 0) /* which only $all has */
      return PUMP_EINVALID;
    return request->max_count < 1 || request->max_count > PUMP_MAX_PAGE ? PUMP_EINVALID : 0;
  case PUMP_READ_ALL:
    return request->max_count < 1 || request->max_count > PUMP_MAX_PAGE ? PUMP_EINVALID : 0;
  case PUMP_CREATE_GROUP:
  case PUMP_UPDATE_GROUP:
    if (!check_settings(request->settings)) return PUMP_EINVALID;
    return check_group(request) ? 0 : PUMP_EINVALID;
  case PUMP_DELETE_GROUP: return check_group(request) ? 0 : PUMP_EINVALID;
  case PUMP_CONSUME: return check_group(request) && request->max_count > 0 ? 0 : PUMP_EINVALID;
  default: return 0;
  }
}

static size_t size_of(const pump_request *request) {
  size_t size = sizeof(pump_conversation) + request->count * sizeof(pump_new_event);
  size += request->filter.count * sizeof(pump_bytes);
  for (size_t i = 0; i < request->filter.count; i++)
    size += request->filter.texts[i].size;
  size += request->stream.size + request->group.size;
  size += request->username.size + request->password.size;
  for (size_t i = 0; i < request->count; i++)
    size += request->events[i].type.size + request->events[i].data.size +
            request->events[i].metadata.size;
  if (request->settings) {
    size += sizeof *request->settings + _Alignof(pump_group_settings);
    size += pump_bytes_of(request->settings->strategy).size + 1;
  }
  return size;
}

static pump_bytes copy(char **to, pump_bytes bytes) {
  if (!bytes.data) return bytes;
  pump_bytes copied = {*to, bytes.size};
  if (bytes.size > 0) memcpy(*to, bytes.data, bytes.size);
  *to += bytes.size;
  return copied;
}

/* Behind texts of any length. */
static void copy_settings(pump_conversation *conversation, char *at) {
  size_t odd = (uintptr_t)at % _Alignof(pump_group_settings);
  if (odd > 0) at += _Alignof(pump_group_settings) - odd;
  pump_group_settings *settings = (pump_group_settings *)(void *)at;
  *settings = *conversation->request.settings;
  if (settings->strategy) {
    size_t size = pump_bytes_of(settings->strategy).size + 1;
    settings->strategy = memcpy(at + sizeof *settings, settings->strategy, size);
  }
  conversation->request.settings = settings;
}

int pump_conversation_new(pump_conversation **out, const pump_request *request) {
  *out = NULL;
  int code = check(request);
  if (code != 0) return code;
  size_t size = size_of(request);
  pump_conversation *conversation = malloc(size);
  if (!conversation) return PUMP_ENOMEM;
  *conversation = (pump_conversation){.request = *request, .size = size};
  pump_new_event *events = (pump_new_event *)(conversation + 1);
  pump_bytes *texts = (pump_bytes *)(events + request->count);
  char *to = (char *)(texts + request->filter.count);
  for (size_t i = 0; i < request->count; i++) {
    events[i] = request->events[i];
    events[i].type = copy(&to, request->events[i].type);
    events[i].data = copy(&to, request->events[i].data);
    events[i].metadata = copy(&to, request->events[i].metadata);
  }
  for (size_t i = 0; i < request->filter.count; i++)
    texts[i] = copy(&to, request->filter.texts[i]);
  conversation->request.events = events;
  conversation->request.filter.texts = texts;
  conversation->request.stream = copy(&to, request->stream);
  conversation->request.group = copy(&to, request->group);
  conversation->request.username = copy(&to, request->username);
  conversation->request.password = copy(&to, request->password);
  if (request->username.data && !request->password.data) /* the protocol has no login without one */
    conversation->request.password = pump_bytes_of("");
  if (request->settings) copy_settings(conversation, to);
  conversation->result = (pump_result){.message = "", .current_version = PUMP_UNKNOWN};
  *out = conversation;
  return 0;
}

pump_page *pump_conversation_pushed(pump_conversation *conversation) {
  pump_push *push = conversation->pushes;
  if (!push) return NULL;
  pump_page *page = push->page;
  conversation->pushes = push->next;
  free(push);
  return page;
}

void pump_conversation_free(pump_conversation *conversation) {
  if (!conversation) return;
  pump_page *page;
  while ((page = pump_conversation_pushed(conversation)))
    pump_page_unref(page);
  pump_page_unref(conversation->result.page);
  pump_buffer_free(&conversation->words);
  pump_buffer_free(&conversation->name);
  pump_bytes password = conversation->request.password;
  if (password.data) explicit_bzero((char *)(uintptr_t)password.data, password.size);
  free(conversation);
}

/* ---- What may be repeated ----------------------------------------------------------------- */

static bool changes(pump_kind kind) {
  return kind == PUMP_APPEND || kind == PUMP_DELETE ||
         (kind >= PUMP_CREATE_GROUP && kind <= PUMP_DELETE_GROUP);
}

static bool is_open_question(const pump_conversation *conversation) {
  return conversation->is_unsure && changes(conversation->request.kind);
}

/* Whoever says that has done nothing. What another one did before nobody knows. */
static bool is_refusal(int code) {
  return code == PUMP_ENOTREADY || code == PUMP_EBUSY || code == PUMP_ENOTLEADER ||
         code == PUMP_ENOTHANDLED || code == PUMP_EACCESS || code == PUMP_ENOTAUTHENTICATED;
}

/* docs/architecture.md says why. The events of an append keep their ids: a server that has them
 * says so again. */
bool pump_conversation_may_repeat(const pump_conversation *conversation) {
  return !changes(conversation->request.kind) || conversation->request.kind == PUMP_APPEND;
}

/* ---- What failed, in words ---------------------------------------------------------------- */

/* Text from a peer on one line: control characters would be acted on by a terminal. */
static void put_line(pump_buffer *out, pump_bytes text) {
  size_t size = text.size < LONGEST_WORDS ? text.size : LONGEST_WORDS;
  while (size > 0 && size < text.size && (text.data[size] & 0xc0) == 0x80) /* no half character */
    size--;
  for (size_t i = 0; i < size; i++) {
    char byte = text.data[i];
    if (byte == '\n' || byte == '\r') break;
    pump_buffer_byte(out, (unsigned char)byte < 0x20 || byte == 0x7f ? '?' : (uint8_t)byte);
  }
}

static void put_version(pump_buffer *out, int64_t version) {
  switch (version) {
  case PUMP_ANY: pump_buffer_text(out, "any version"); break;
  case PUMP_NO_STREAM: pump_buffer_text(out, "no stream"); break;
  case PUMP_STREAM_EXISTS: pump_buffer_text(out, "an existing stream"); break;
  default: pump_buffer_printf(out, "event %lld", (long long)version);
  }
}

static void put_details(pump_conversation *conversation) {
  const pump_request *request = &conversation->request;
  const pump_result *result = &conversation->result;
  pump_buffer *words = &conversation->words;
  if ((request->kind >= PUMP_APPEND && request->kind <= PUMP_READ_STREAM) ||
      request->kind == PUMP_SUBSCRIBE || pump_kind_is_of_group(request->kind)) {
    pump_buffer_text(words, ": stream \"");
    put_line(words, request->stream.size > 0 ? request->stream : pump_bytes_of("$all"));
    pump_buffer_byte(words, '"');
  }
  if (request->group.size > 0) {
    pump_buffer_text(words, ", group \"");
    put_line(words, request->group);
    pump_buffer_byte(words, '"');
  }
  if (result->status == PUMP_ENOEVENT)
    pump_buffer_printf(words, ", event %lld", (long long)request->number);
  if (result->status == PUMP_EVERSION) {
    pump_buffer_text(words, ", expected ");
    put_version(words, request->number);
    if (result->current_version != PUMP_UNKNOWN) {
      pump_buffer_text(words, ", is at ");
      put_version(words, result->current_version);
    }
  }
  if (result->status == PUMP_ETOOLARGE && request->max_count > 1)
    pump_buffer_printf(words, ", ask for fewer than %d events at once", (int)request->max_count);
  if (is_open_question(conversation) &&
      (result->status == PUMP_ETIMEOUT || result->status == PUMP_ECLOSED ||
       result->status == PUMP_EPROTOCOL))
    pump_buffer_text(words, ", which may have been done all the same");
  if (result->status == PUMP_ENOTLEADER && result->leader_host)
    pump_buffer_printf(words, ", the leader is %s:%d", result->leader_host, result->leader_port);
}

/* Nothing else is asked that a server may not know. */
static const char *sentence(int code) {
  return code == PUMP_ENOTSUPPORTED ? "filters take EventStore 20.6 or newer"
                                    : pump_error_sentence(code);
}

static void set_failure(pump_conversation *conversation, int code, pump_bytes server_words) {
  pump_buffer *words = &conversation->words;
  if (is_refusal(code) && is_open_question(conversation)) {
    if (server_words.size == 0) server_words = pump_bytes_of(pump_error_sentence(code));
    code = PUMP_ETIMEOUT;
  }
  conversation->result.status = code;
  pump_buffer_clear(words);
  pump_buffer_text(words, sentence(code));
  put_details(conversation);
  if (server_words.size > 0) {
    pump_buffer_text(words, " (");
    put_line(words, server_words);
    pump_buffer_byte(words, ')');
  }
  const char *text = pump_buffer_string(words);
  conversation->result.message = words->failed ? pump_error_sentence(code) : text;
}

/* ---- Deciding ----------------------------------------------------------------------------- */

typedef struct verdict {
  int code;
  pump_decision decision;
  bool retryable;
} verdict;

static verdict judge(const pump_conversation *conversation, pump_outcome outcome) {
  switch (outcome) {
  case PUMP_OUTCOME_SUCCESS: return (verdict){0, PUMP_DONE, false};
  case PUMP_OUTCOME_CONFIRMED: return (verdict){0, PUMP_GO_ON, false};
  case PUMP_OUTCOME_NO_STREAM: return (verdict){PUMP_ENOSTREAM, PUMP_DONE, false};
  case PUMP_OUTCOME_NO_EVENT: return (verdict){PUMP_ENOEVENT, PUMP_DONE, false};
  case PUMP_OUTCOME_STREAM_DELETED: return (verdict){PUMP_EDELETED, PUMP_DONE, false};
  case PUMP_OUTCOME_WRONG_VERSION: return (verdict){PUMP_EVERSION, PUMP_DONE, false};
  case PUMP_OUTCOME_ACCESS_DENIED: return (verdict){PUMP_EACCESS, PUMP_DONE, false};
  case PUMP_OUTCOME_NOT_AUTHENTICATED: return (verdict){PUMP_ENOTAUTHENTICATED, PUMP_DONE, false};
  case PUMP_OUTCOME_INVALID_TRANSACTION: return (verdict){PUMP_ETRANSACTION, PUMP_DONE, false};
  case PUMP_OUTCOME_SERVER_TIMEOUT: {
    bool may_repeat = pump_conversation_may_repeat(conversation);
    return (verdict){PUMP_ETIMEOUT, may_repeat ? PUMP_RETRY : PUMP_DONE, may_repeat};
  }
  case PUMP_OUTCOME_NOT_READY: return (verdict){PUMP_ENOTREADY, PUMP_RETRY, true};
  case PUMP_OUTCOME_TOO_BUSY: return (verdict){PUMP_EBUSY, PUMP_RETRY, true};
  case PUMP_OUTCOME_NOT_LEADER: return (verdict){PUMP_ENOTLEADER, PUMP_MOVE, true};
  case PUMP_OUTCOME_READ_ONLY:
  case PUMP_OUTCOME_NOT_HANDLED: return (verdict){PUMP_ENOTHANDLED, PUMP_DONE, false};
  case PUMP_OUTCOME_DROPPED: return (verdict){PUMP_EDROPPED, PUMP_DONE, true};
  case PUMP_OUTCOME_GROUP_EXISTS: return (verdict){PUMP_EEXISTS, PUMP_DONE, false};
  case PUMP_OUTCOME_NO_GROUP: return (verdict){PUMP_ENOGROUP, PUMP_DONE, false};
  case PUMP_OUTCOME_FULL: return (verdict){PUMP_EMAXSUBSCRIBERS, PUMP_DONE, true};
  case PUMP_OUTCOME_ERROR:
    if (pump_kind_is_of_group(conversation->request.kind))
      return (verdict){PUMP_ESUBSCRIBE, PUMP_DONE, false};
    return (verdict){PUMP_EBADREQUEST, PUMP_DONE, false};
  case PUMP_OUTCOME_NOT_SUPPORTED: return (verdict){PUMP_ENOTSUPPORTED, PUMP_DONE, false};
  case PUMP_OUTCOME_BAD_REQUEST: return (verdict){PUMP_EBADREQUEST, PUMP_DONE, false};
  case PUMP_OUTCOME_TOO_LARGE: return (verdict){PUMP_ETOOLARGE, PUMP_DONE, false};
  case PUMP_OUTCOME_UNREADABLE: break;
  }
  bool is_noise = conversation->request.kind >= PUMP_PING && conversation->attempts > 0 &&
                  conversation->attempts <= NOISE && pump_conversation_may_repeat(conversation);
  return (verdict){PUMP_EPROTOCOL, is_noise ? PUMP_RETRY : PUMP_DONE, false};
}

static void take_leader(pump_conversation *conversation, const pump_reply *reply) {
  conversation->result.leader_host = NULL;
  if (!pump_bytes_are_host(reply->leader_host) ||
      reply->leader_host.size >= sizeof conversation->leader_host)
    return;
  memcpy(conversation->leader_host, reply->leader_host.data, reply->leader_host.size);
  conversation->leader_host[reply->leader_host.size] = '\0';
  conversation->result.leader_host = conversation->leader_host;
  conversation->result.leader_port = reply->leader_port;
}

/* Without its name a consumer could not answer. */
static void confirm(pump_conversation *conversation, pump_bytes name) {
  pump_buffer_clear(&conversation->name);
  pump_buffer_append(&conversation->name, name.data, name.size);
  conversation->was_confirmed = !conversation->name.failed;
  if (conversation->name.failed) pump_conversation_fail(conversation, PUMP_ENOMEM, NULL);
}

pump_decision pump_conversation_inspect(pump_conversation *conversation, const pump_reply *reply) {
  pump_result *result = &conversation->result;
  pump_page_unref(result->page);
  result->page = reply->page;
  take_leader(conversation, reply);
  pump_outcome outcome = reply->outcome;
  pump_kind kind = conversation->request.kind;
  bool reads = kind >= PUMP_READ_EVENT && kind <= PUMP_READ_ALL;
  if (outcome == PUMP_OUTCOME_SUCCESS && reads && !reply->page) outcome = PUMP_OUTCOME_UNREADABLE;
  /* A metastream without metadata is read with success, and without an event. */
  if (outcome == PUMP_OUTCOME_SUCCESS && kind == PUMP_READ_EVENT && reply->page->count == 0)
    outcome = PUMP_OUTCOME_NO_EVENT;
  /* Who knows filters and not this one calls the request by its name. */
  if (outcome == PUMP_OUTCOME_BAD_REQUEST && conversation->request.filter.count > 0 &&
      !pump_bytes_have(reply->text, "Filtered"))
    outcome = PUMP_OUTCOME_NOT_SUPPORTED;
  if (outcome == PUMP_OUTCOME_SERVER_TIMEOUT || outcome == PUMP_OUTCOME_UNREADABLE)
    conversation->is_unsure = true;
  verdict judged = judge(conversation, outcome);
  result->retryable = judged.retryable;
  result->current_version = reply->current_version;
  result->first_event_number = reply->first_number;
  result->last_event_number = reply->last_number;
  result->position = reply->position;
  if (judged.code == 0) {
    result->status = 0;
    result->message = "";
  } else {
    set_failure(conversation, judged.code, reply->text);
  }
  /* A subscription that stood is over, whatever the reason: its owner decides how to go on. */
  bool stood = conversation->was_confirmed || conversation->is_open;
  conversation->decision = stood && judged.decision != PUMP_GO_ON ? PUMP_DONE : judged.decision;
  if (judged.decision == PUMP_GO_ON) confirm(conversation, reply->text);
  return conversation->decision;
}

void pump_conversation_fail(pump_conversation *conversation, int code, const char *message) {
  conversation->decision = PUMP_DONE;
  int reason = conversation->result.status;
  bool is_outdated = is_refusal(reason) && is_open_question(conversation);
  if (code == PUMP_ETIMEOUT && reason != 0 && !is_outdated) return;
  set_failure(conversation, code, pump_bytes_of(message));
  bool may_pass = code == PUMP_ETIMEOUT || code == PUMP_ECLOSED;
  conversation->result.retryable =
      may_pass && (!conversation->is_unsure || pump_conversation_may_repeat(conversation));
}

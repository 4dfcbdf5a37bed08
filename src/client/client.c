/* The life of a client: connecting, asking and answering, closing. How connections end is in
 * end.c, what comes then in reconnect.c. */
#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* With this much waiting to be sent, further requests stay in the line: so that an answer to a
 * heartbeat never stands behind more than a moment's worth of bytes. */
#define ENOUGH_TO_SEND ((size_t)1024 * 1024)
/* Answers to what a server says are no requests and wait for nothing: one that goes on and takes
 * none of them is left. More than the largest request. */
#define TOO_MUCH_TO_SEND ((size_t)PUMP_MAX_FRAME + 16 * ENOUGH_TO_SEND)
/* With as many events on their way in pages further requests stay in the line: a thousand readers of
 * one connection would else fill the system's buffers with a thousand pages, which are in no cache
 * any more when their turn comes. Where that holds for a millisecond it is the way that is long or
 * the server that is slow, and as many again may go out. Where more comes than is read at once no
 * more than are on their way: each that comes is one less. */
#define LEAST_TO_READ ((size_t)2000)
#define MOST_TO_READ  ((size_t)1024 * 1024)
#define FIRST_PAUSE   50 /* ms before a request is asked again, doubling */
#define LONGEST_PAUSE 500

#define of(pointer, member)                                                                        \
  ((pump_client *)(void *)((char *)(pointer)-offsetof(pump_client, member)))

static void on_flush(uv_idle_t *handle);
static void on_timer(uv_timer_t *handle);

uint64_t pump_client_now(void) {
  return uv_hrtime() / 1000000;
}

void pump_client_log(pump_client *client, int level, const pump_log_fields *fields,
                     const char *format, ...) {
  if (!client->options.log || level > client->options.log_level) return;
  char line[800];
  pump_log_fields all = fields ? *fields : (pump_log_fields){0};
  if (!all.address && client->endpoint[0]) all.address = client->endpoint;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  client->options.log(client->options.log_ud, level, line, &all);
}

void pump_client_flush_soon(pump_client *client) {
  if (!client->is_closing) uv_idle_start(&client->flush, on_flush);
}

/* ---- Time --------------------------------------------------------------------------------- */

static uint64_t next_due(const pump_client *client) {
  uint64_t due = pump_line_due(&client->line);
  if (client->connect_deadline != 0 && client->connect_deadline < due)
    due = client->connect_deadline;
  if (client->address_deadline != 0 && client->address_deadline < due)
    due = client->address_deadline;
  if (client->held_until != 0 && client->held_until < due) due = client->held_until;
  if (client->reconnect.due != 0 && client->reconnect.due < due) due = client->reconnect.due;
  if (client->cluster.member_deadline != 0 && client->cluster.member_deadline < due)
    due = client->cluster.member_deadline;
  if (client->cluster.look_at != 0 && client->cluster.look_at < due) due = client->cluster.look_at;
  const pump_heap_node *follower = pump_heap_first(&client->due);
  if (follower && follower->key < due) due = follower->key;
  if (client->redirect.deadline != 0 && client->redirect.deadline < due)
    due = client->redirect.deadline;
  if (client->address.is_known) due = 0;
  if (client->session && pump_session_due(client->session) < due)
    due = pump_session_due(client->session);
  return due;
}

/* Only ever sets the timer to an earlier time: a later deadline waits for the timer to come by. */
void pump_client_set_timer(pump_client *client) {
  uint64_t due = next_due(client);
  if (client->is_closing || due >= client->timer_at) return;
  uint64_t now = pump_client_now();
  client->timer_at = due;
  uv_update_time(client->loop);
  uv_timer_start(&client->timer, on_timer, due > now ? due - now : 0, 0);
}

/* ---- Conversations ------------------------------------------------------------------------ */

void pump_client_finish(pump_client *client, pump_conversation *conversation) {
  conversation->result.elapsed_ns = uv_hrtime() - conversation->asked_at_ns;
  conversation->decision = PUMP_DONE; /* whatever was thought of before */
  if (!conversation->is_open) pump_stats_answered(&client->stats, &conversation->result);
  pump_sequence_leave(client, conversation);
  conversation->cb(client, &conversation->result, conversation->ud);
  pump_conversation_free(conversation);
}

static size_t events_of(const pump_conversation *conversation) {
  pump_kind kind = conversation->request.kind;
  bool reads = kind == PUMP_READ_STREAM || kind == PUMP_READ_ALL;
  return reads ? (size_t)conversation->request.max_count : 0;
}

static void take_off(pump_client *client, const pump_conversation *conversation) {
  client->in_flight++;
  client->reading += events_of(conversation);
}

static void land(pump_client *client, const pump_conversation *conversation) {
  client->in_flight--;
  client->reading -= events_of(conversation);
}

static void complete(pump_client *client, pump_conversation *conversation) {
  pump_line_leave(&client->line, conversation);
  pump_client_finish(client, conversation);
}

static void fail(pump_client *client, pump_conversation *conversation, int code,
                 const char *message) {
  if (conversation->slot != 0) {
    pump_session_forget(client->session, conversation);
    land(client, conversation);
  }
  pump_conversation_fail(conversation, code, message);
  complete(client, conversation);
}

bool pump_client_may_ask_again(const pump_client *client, const pump_conversation *conversation) {
  return conversation->attempts <= client->options.retries;
}

static void ask_again(pump_client *client, pump_conversation *conversation) {
  if (!pump_client_may_ask_again(client, conversation)) {
    complete(client, conversation);
    return;
  }
  unsigned doublings = conversation->attempts < 7 ? conversation->attempts - 1 : 6;
  uint64_t pause = (uint64_t)FIRST_PAUSE << doublings;
  if (pause > LONGEST_PAUSE) pause = LONGEST_PAUSE;
  pump_log_fields fields = {.code = conversation->result.status,
                            .operation = pump_kind_name(conversation->request.kind),
                            .attempt = conversation->attempts + 1,
                            .delay = pause};
  pump_client_log(client, PUMP_LOG_DEBUG, &fields, "%s: asking again in %llu ms: %s",
                  client->endpoint, (unsigned long long)pause, conversation->result.message);
  if (pump_line_retry(&client->line, conversation, pump_client_now() + pause) != 0)
    complete(client, conversation);
}

static void answered(pump_client *client, pump_conversation *conversation) {
  bool was_open = conversation->is_open;
  pump_decision decision = conversation->decision;
  if (was_open && decision != PUMP_GO_ON) {
    pump_client_finish(client, conversation);
    return;
  }
  if (!was_open) land(client, conversation);
  if (decision == PUMP_MOVE) decision = pump_redirect_take(client, conversation);
  switch (decision) {
  case PUMP_GO_ON:
    if (!was_open) pump_line_leave(&client->line, conversation);
    conversation->is_open = true;
    conversation->cb(client, &conversation->result, conversation->ud);
    break;
  case PUMP_RETRY: ask_again(client, conversation); break;
  case PUMP_MOVE: break;
  case PUMP_DONE: complete(client, conversation); break;
  }
}

bool pump_client_is_open(const pump_client *client) {
  return client->state == PUMP_STATE_CONNECTING || client->state == PUMP_STATE_CONNECTED ||
         client->state == PUMP_STATE_RECONNECTING;
}

static int enter(pump_client *client, pump_conversation *conversation, uint64_t deadline) {
  int code = pump_line_enter(&client->line, conversation, deadline);
  if (code != 0) return code;
  code = pump_sequence_enter(conversation);
  if (code != 0) pump_line_leave(&client->line, conversation);
  return code;
}

static int ask(pump_client *client, pump_conversation *conversation, const uint64_t *pause,
               uint64_t timeout, pump_result_cb cb, void *ud) {
  int code = PUMP_ECLOSED;
  if (pump_client_is_open(client)) {
    conversation->asked_at_ns = uv_hrtime();
    conversation->cb = cb;
    conversation->ud = ud;
    uint64_t wait = timeout ? timeout : client->options.timeout;
    uint64_t when = conversation->asked_at_ns / 1000000 + (pause ? *pause : 0);
    uint64_t deadline = wait < UINT64_MAX - when ? when + wait : UINT64_MAX - 1;
    if (!pause)
      code = enter(client, conversation, deadline);
    else
      code = pump_line_join(&client->line, conversation, *pause ? when : 0, deadline);
  }
  if (code != 0) {
    pump_conversation_free(conversation);
    return code;
  }
  pump_client_flush_soon(client);
  pump_client_set_timer(client);
  return 0;
}

int pump_client_ask(pump_client *client, pump_conversation *conversation, uint64_t timeout,
                    pump_result_cb cb, void *ud) {
  return ask(client, conversation, NULL, timeout, cb, ud);
}

int pump_client_ask_later(pump_client *client, pump_conversation *conversation, uint64_t pause,
                          uint64_t timeout, pump_result_cb cb, void *ud) {
  return ask(client, conversation, &pause, timeout, cb, ud);
}

void pump_client_withdraw(pump_client *client, pump_conversation *conversation) {
  if (!conversation) return;
  if (!conversation->is_open) {
    if (conversation->slot != 0 || conversation->is_answered) land(client, conversation);
    pump_line_leave(&client->line, conversation);
  }
  if (client->session) pump_session_forget(client->session, conversation);
  pump_conversation_free(conversation);
}

/* ---- Sending ------------------------------------------------------------------------------ */

/* Who has to wait for another one is parked, until that one has its last word. */
static bool may_be_asked(pump_client *client, pump_conversation *conversation) {
  if (pump_sequence_has_failed(conversation))
    fail(client, conversation, PUMP_ECANCELLED, "one before it in its sequence failed");
  else if (pump_sequence_is_first(conversation))
    return true;
  else if (pump_line_retry(&client->line, conversation, PUMP_PARKED) != 0)
    fail(client, conversation, PUMP_ENOMEM, NULL);
  return false;
}

static void hold_back(pump_client *client) {
  if (client->held_until != 0 || client->read_most >= MOST_TO_READ) return;
  client->held_until = pump_client_now() + 1;
  pump_client_set_timer(client);
}

/* No more than now are on their way. */
static void hold_on(pump_client *client) {
  client->read_most = client->reading > LEAST_TO_READ ? client->reading : LEAST_TO_READ;
}

static void let_go(pump_client *client) {
  client->held_until = 0;
  client->read_most += LEAST_TO_READ;
}

/* Says whether there is more to ask, once what is in the output has gone. */
static bool submit(pump_client *client) {
  const pump_buffer *output = pump_session_output(client->session);
  while (client->in_flight < client->options.max_in_flight && client->line.first) {
    if (output->size >= ENOUGH_TO_SEND) return true;
    if (client->reading >= client->read_most) {
      hold_back(client);
      return false;
    }
    pump_conversation *conversation = pump_line_take(&client->line);
    if (!may_be_asked(client, conversation)) continue;
    client->stats.retries += conversation->attempts > 0;
    int code = pump_session_submit(client->session, conversation);
    if (code == 0)
      take_off(client, conversation);
    else
      fail(client, conversation, code, NULL);
  }
  return false;
}

void pump_client_wipe(pump_client *client) {
  if (client->is_secret) explicit_bzero(client->sending.data, client->sending.size);
  client->is_secret = false;
}

/* Once a turn of the loop: everything that was asked since goes out in one write. */
static void on_flush(uv_idle_t *handle) {
  pump_client *client = of(handle, flush);
  uv_idle_stop(handle);
  if (client->state == PUMP_STATE_CONNECTED || client->state == PUMP_STATE_RECONNECTING)
    pump_subscriptions_go_on(client);
  if (!client->session) return;
  bool more = client->state == PUMP_STATE_CONNECTED && submit(client);
  pump_buffer *output = pump_session_output(client->session);
  if (client->is_closing || client->is_sending || output->size == 0) return;
  pump_stats_sending(client);
  client->is_secret = pump_session_has_login(client->session);
  pump_buffer spare = client->sending;
  client->sending = *output;
  *output = spare;
  pump_buffer_clear(output);
  client->is_sending =
      pump_stream_write(client->stream, client->sending.data, client->sending.size) > 0;
  if (!client->is_sending) pump_client_wipe(client);
  if (more && !client->is_sending) pump_client_flush_soon(client);
}

static void on_written(void *ud) {
  pump_client *client = ud;
  client->is_sending = false;
  pump_client_wipe(client);
  pump_client_flush_soon(client);
}

/* ---- Connecting --------------------------------------------------------------------------- */

static void on_connected(void *ud, int status, const char *message) {
  pump_client *client = ud;
  if (client->state == PUMP_STATE_CONNECTED) {
    pump_redirect_reached(client, status, message);
    return;
  }
  if (status != 0)
    pump_client_lose(client, status, message);
  else
    pump_client_connected(client);
}

void pump_client_connected(pump_client *client) {
  int code = pump_client_start_session(client);
  if (code != 0) {
    pump_client_lose(client, code, pump_error_sentence(code));
    return;
  }
  pump_client_flush_soon(client);
  pump_client_set_timer(client);
}

/* The session has said why, where there was memory to go on. */
static void lose_session(pump_client *client, int code) {
  char reason[512];
  snprintf(reason, sizeof reason, "%s",
           code == PUMP_ENOMEM ? pump_error_sentence(code) : pump_session_words(client->session));
  pump_client_lose(client, code, reason);
}

static void check_handshake(pump_client *client) {
  int status;
  bool is_first = client->state == PUMP_STATE_CONNECTING;
  if ((!is_first && client->state != PUMP_STATE_RECONNECTING) ||
      pump_session_handshake(client->session, &status) != PUMP_DONE)
    return;
  if (status != 0) {
    lose_session(client, status);
    return;
  }
  client->state = PUMP_STATE_CONNECTED;
  client->connect_deadline = client->address_deadline = 0;
  pump_cluster_settle(client);
  client->stats.connections++;
  client->stats.reconnects += !is_first;
  pump_reconnect_settle(client);
  pump_client_log(client, PUMP_LOG_INFO, NULL, "connected to %s", client->endpoint);
  if (client->connected_cb) client->connected_cb(client, client->connected_ud);
  if (is_first && !client->is_closing) pump_client_answer_connect(client, 0, "");
}

static int on_space(void *ud, uint8_t **to, size_t *size) {
  pump_client *client = ud;
  /* Nothing is read before the session that knows what to do with it. */
  return client->session ? pump_session_space(client->session, to, size) : PUMP_ENOMEM;
}

static void on_filled(void *ud, size_t size) {
  pump_client *client = ud;
  client->stats.bytes_in += size;
  int code = pump_session_filled(client->session, size, pump_client_now());
  pump_conversation *conversation;
  while (client->session && (conversation = pump_session_next(client->session)))
    answered(client, conversation);
  if (client->is_closing || !client->session) return;
  pump_redirect_go_on(client);
  if (client->is_closing || !client->session) return;
  if (!pump_stream_is_drained(client->stream)) hold_on(client);
  if (code != 0) {
    lose_session(client, code);
    return;
  }
  if (pump_session_output(client->session)->size > TOO_MUCH_TO_SEND) {
    pump_client_lose(client, PUMP_ECLOSED, "it goes on and takes nothing of what it is sent");
    return;
  }
  check_handshake(client);
  pump_client_flush_soon(client);
  pump_client_set_timer(client);
}

static void on_ended(void *ud, int code, const char *reason) {
  pump_client *client = ud;
  bool is_cut = code == PUMP_ECLOSED && client->state != PUMP_STATE_CONNECTED;
  pump_client_lose(client, is_cut ? PUMP_ECONNECT : code, reason);
}

static const pump_stream_events stream_events = {on_connected, on_space, on_filled, on_written,
                                                 on_ended};

int pump_client_reach(pump_client *client, pump_stream **stream, const char *host, int port) {
  return pump_client_open(client, stream, host, port, &stream_events);
}

int pump_client_connect(pump_client *client, pump_result_cb cb, void *ud) {
  if (client->is_closing) return PUMP_ECLOSED;
  if (pump_client_is_open(client)) return PUMP_EINVALID;
  int before = client->state;
  client->state = PUMP_STATE_CONNECTING; /* options.open, which is asked now, may try the same */
  int code = pump_client_seek(client);
  if (code != 0) {
    if (!client->is_closing) client->state = before;
    return code;
  }
  client->reconnect.attempts = 0;
  client->connect_cb = cb;
  client->connect_ud = ud;
  client->connect_started_ns = uv_hrtime();
  return 0;
}

static void connect_too_long(pump_client *client) {
  char reason[700];
  if (client->cluster.discovery) {
    pump_cluster_explain(client, client->message, sizeof client->message);
    pump_client_connect_anew_or_end(client, PUMP_EDISCOVERY);
    return;
  }
  bool is_securing = pump_stream_is_securing(client->stream), reached = client->session != NULL;
  const char *words = reached ? pump_session_words(client->session) : "";
  const char *what = pump_stream_is_resolving(client->stream)
                         ? "its name was not resolved within %llu ms"
                         : "no answer within %llu ms";
  if (is_securing)
    what = "it accepted, but did not finish the TLS handshake within %llu ms: does it speak TLS?";
  else if (reached)
    what = words[0] ? "it accepted, but did not let us in within %llu ms: %s"
                    : "it accepted, but did not answer within %llu ms";
  snprintf(reason, sizeof reason, what, (unsigned long long)client->options.connect_timeout, words);
  pump_client_lose(client,
                   is_securing ? PUMP_ETLS
                   : reached   ? PUMP_ETIMEOUT
                               : PUMP_ECONNECT,
                   reason);
}

/* The member that was found takes so long that another one may be faster. */
static void member_too_long(pump_client *client) {
  pump_client_lose(client, PUMP_ECONNECT,
                   client->session ? "it accepted, but did not answer" : "no connection in time");
}

/* ---- The timer ---------------------------------------------------------------------------- */

static const char *why_late(const pump_client *client, char *words, size_t size) {
  if (client->state != PUMP_STATE_RECONNECTING) return NULL;
  snprintf(words, size, "the connection is being re-established: %.250s", client->message);
  return words;
}

/* What was done before may have closed the client. */
static bool is_due(const pump_client *client, uint64_t time, uint64_t now) {
  return time != 0 && now >= time && !client->is_closing;
}

static void on_timer(uv_timer_t *handle) {
  pump_client *client = of(handle, timer);
  uint64_t now = pump_client_now();
  pump_conversation *late;
  char words[300];
  client->timer_at = UINT64_MAX;
  while (!client->is_closing && (late = pump_line_expired(&client->line, now)))
    fail(client, late, PUMP_ETIMEOUT, why_late(client, words, sizeof words));
  pump_line_wake(&client->line, now);
  pump_subscriptions_tick(client, now);
  if (is_due(client, client->address.is_known, now)) pump_address_tell(client);
  if (is_due(client, client->held_until, now)) let_go(client);
  if (is_due(client, client->connect_deadline, now)) connect_too_long(client);
  if (is_due(client, client->address_deadline, now)) pump_client_try_elsewhere(client);
  if (is_due(client, client->reconnect.due, now)) pump_reconnect_attempt(client);
  if (is_due(client, client->cluster.member_deadline, now)) member_too_long(client);
  if (is_due(client, client->cluster.look_at, now)) pump_cluster_look(client);
  if (is_due(client, client->redirect.deadline, now)) pump_redirect_too_long(client);
  if (client->session && is_due(client, pump_session_due(client->session), now)) {
    int code = pump_session_tick(client->session, now);
    if (code != 0) lose_session(client, code);
  }
  if (client->is_closing) return;
  pump_client_flush_soon(client);
  pump_client_set_timer(client);
}

/* ---- Birth and death ---------------------------------------------------------------------- */

int pump_client_new(pump_client **out, struct uv_loop_s *loop, const pump_options *options) {
  *out = NULL;
  pump_client *client = calloc(1, sizeof *client);
  if (!client) return PUMP_ENOMEM;
  int code = pump_options_copy(&client->options, options);
  if (code != 0) {
    free(client);
    return code;
  }
  client->loop = loop;
  client->timer_at = UINT64_MAX;
  client->read_most = LEAST_TO_READ;
  pump_line_init(&client->line, options->max_queued);
  pump_heap_init(&client->due);
  uv_timer_init(loop, &client->timer);
  uv_idle_init(loop, &client->flush);
  *out = client;
  return 0;
}

int pump_client_state(const pump_client *client) {
  return client->state;
}

const char *pump_client_endpoint(const pump_client *client) {
  return client->endpoint;
}

static void on_handle_gone(void *ud) {
  pump_client *client = ud;
  if (--client->open_handles > 0) return;
  pump_client_fail_all(client, PUMP_ECLOSED, NULL);
  pump_cluster_free(client);
  void (*closed)(void *) = client->closed;
  void *closed_ud = client->closed_ud;
  pump_line_free(&client->line);
  pump_heap_free(&client->due);
  pump_client_wipe(client);
  pump_buffer_free(&client->sending);
  pump_options_free(&client->options);
  pump_tls_context_free(client->tls);
  free(client);
  if (closed) closed(closed_ud);
}

static void on_timer_gone(uv_handle_t *handle) {
  on_handle_gone(of(handle, timer));
}

static void on_flush_gone(uv_handle_t *handle) {
  on_handle_gone(of(handle, flush));
}

/* Answers of consumers have no answer that somebody could wait for before he closes: what the
 * socket takes now goes out. */
static void say_goodbye(pump_client *client) {
  if (client->state != PUMP_STATE_CONNECTED) return;
  pump_subscriptions_settle(client);
  const pump_buffer *output = pump_session_output(client->session);
  if (client->is_sending || output->size == 0) return;
  pump_stats_sending(client);
  pump_stream_write(client->stream, output->data, output->size);
}

void pump_client_close(pump_client *client, void (*closed)(void *ud), void *ud) {
  if (client->is_closing) return;
  say_goodbye(client);
  client->is_closing = true;
  client->state = PUMP_STATE_CLOSED;
  client->closed = closed;
  client->closed_ud = ud;
  client->open_handles = 2;
  if (client->stream) {
    client->open_handles++;
    pump_stream_close(client->stream, on_handle_gone, client);
    client->stream = NULL;
  }
  if (client->redirect.stream) {
    client->open_handles++;
    pump_stream_close(client->redirect.stream, on_handle_gone, client);
    client->redirect.stream = NULL;
  }
  client->open_handles += pump_cluster_close(client, on_handle_gone);
  uv_close((uv_handle_t *)&client->timer, on_timer_gone);
  uv_close((uv_handle_t *)&client->flush, on_flush_gone);
}

/* The session of EventStore's TCP protocol: conversations to frames, frames to replies. */
#include "client/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "base/page.h"
#include "client/tcp_translate.h"
#include "conversation/heartbeat.h"
#include "wire/tcp/command.h"
#include "wire/tcp/dump.h"
#include "wire/tcp/events.h"
#include "wire/tcp/frame.h"

/* While a starting server refuses to authenticate anybody. */
#define HANDSHAKE_PAUSE 250
#define FIRST_SLOTS     64
/* In the middle of a frame so many bytes are a sign of life, too. Fewer are none: a byte now and
 * then, or the little that goes on coming into a frame whose length was garbled, would hold us for
 * ever. What is thrown away is none at all: it stands in front of everything that is waited for. */
#define SIGN_OF_LIFE ((size_t)4096)
/* Events that came one after the other for one subscription and share a page. */
#define LONGEST_RUN 64
/* ms in which what comes for a subscription that was left may have been on its way. */
#define STRAY_PAUSE 1000

/* A place in the registry. The correlation id of a request is the session's own random half, the
 * place and how often it was taken: an answer finds its conversation without a search, and one
 * that comes too late finds a stranger there and is dropped. */
typedef struct slot {
  pump_conversation *conversation;
  uint32_t generation;
  uint32_t next_free; /* + 1 */
} slot;

struct pump_session {
  pump_tcp_reader reader;
  pump_buffer output;
  pump_heartbeat heartbeat;
  size_t unheard; /* bytes since the last sign of life */
  slot *slots;
  uint32_t slot_count;
  uint32_t first_free; /* + 1 */
  uint32_t scanned;    /* by pump_session_waiting */
  pump_conversation *answered, *last_answered;
  pump_conversation *running; /* to whom the bodies of the run are pushed */
  pump_bytes run[LONGEST_RUN];
  size_t run_length;
  pump_conversation *authenticate, *identify; /* the handshake, while it goes on */
  uint64_t handshake_again;                   /* when to try it again, 0: not waiting for that */
  int status;                                 /* of the handshake */
  bool is_secure;
  bool has_login; /* in its output */
  bool spoke;     /* a whole frame came */
  uint8_t seed[16];
  uint64_t heartbeats;
  pump_tcp_correlation stray; /* the subscription that was left again last, and when */
  uint64_t stray_at;
  char words[512];
  void (*log)(void *ud, int level, const char *line, const pump_log_fields *fields);
  void *log_ud;
  bool traces;
  uint64_t *frames_in;
};

static void tell(const pump_session *session, int level, const char *line,
                 const pump_tcp_frame *frame) {
  char id[PUMP_GUID_TEXT + 1];
  pump_guid guid;
  pump_guid_from_net(&guid, frame->correlation.bytes);
  pump_guid_format(&guid, id);
  pump_log_fields fields = {.operation = pump_tcp_command_name(frame->command), .correlation = id};
  session->log(session->log_ud, level, line, &fields);
}

static void say(const pump_session *session, int level, const char *what,
                const pump_tcp_frame *frame) {
  if (!session->log) return;
  char line[160];
  const char *name = pump_tcp_command_name(frame->command);
  snprintf(line, sizeof line, "%s: %s (0x%02x)", what, name ? name : "unknown command",
           frame->command);
  tell(session, level, line, frame);
}

static void trace(const pump_session *session, const char *direction, const pump_tcp_frame *frame) {
  char line[PUMP_TCP_LONGEST_DUMP];
  pump_tcp_dump(line, direction, frame);
  tell(session, PUMP_LOG_TRACE, line, frame);
}

uint64_t pump_session_sends(const pump_session *session) {
  const uint8_t *at = session->output.data;
  uint64_t count = 0;
  const uint8_t *end = at + session->output.size;
  for (; at < end; at += pump_tcp_frame_size(at), count++) {
    pump_tcp_frame frame;
    if (!session->traces) continue;
    pump_tcp_frame_at(at, &frame);
    trace(session, "->", &frame);
  }
  return count;
}

/* ---- The registry ------------------------------------------------------------------------- */

static int more_slots(pump_session *session) {
  uint32_t count = session->slot_count ? session->slot_count * 2 : FIRST_SLOTS;
  slot *slots = realloc(session->slots, count * sizeof *slots);
  if (!slots) return PUMP_ENOMEM;
  for (uint32_t i = session->slot_count; i < count; i++)
    slots[i] = (slot){.next_free = i + 1 < count ? i + 2 : 0};
  session->slots = slots;
  session->first_free = session->slot_count + 1;
  session->slot_count = count;
  return 0;
}

static pump_tcp_correlation correlation_of(const pump_session *session, uint32_t index) {
  pump_tcp_correlation correlation;
  uint32_t generation = session->slots[index].generation;
  memcpy(correlation.bytes, session->seed, 8);
  memcpy(correlation.bytes + 8, &index, 4);
  memcpy(correlation.bytes + 12, &generation, 4);
  return correlation;
}

static pump_conversation *find(const pump_session *session, const pump_tcp_correlation *id) {
  uint32_t index, generation;
  memcpy(&index, id->bytes + 8, 4);
  memcpy(&generation, id->bytes + 12, 4);
  if (memcmp(id->bytes, session->seed, 8) != 0 || index >= session->slot_count ||
      session->slots[index].generation != generation)
    return NULL;
  return session->slots[index].conversation;
}

static void leave_registry(pump_session *session, pump_conversation *conversation) {
  if (conversation->slot == 0) return;
  uint32_t index = conversation->slot - 1;
  conversation->slot = 0;
  session->slots[index].conversation = NULL;
  session->slots[index].generation++;
  session->slots[index].next_free = session->first_free;
  session->first_free = index + 1;
}

static void list(pump_session *session, pump_conversation *conversation) {
  if (conversation->is_answered) return;
  conversation->is_answered = true;
  conversation->next = NULL;
  if (session->answered)
    session->last_answered->next = conversation;
  else
    session->answered = conversation;
  session->last_answered = conversation;
}

static void unlist(pump_session *session, pump_conversation *conversation) {
  if (!conversation->is_answered) return;
  pump_conversation *before = NULL;
  for (pump_conversation *at = session->answered; at != conversation; at = at->next)
    before = at;
  *(before ? &before->next : &session->answered) = conversation->next;
  if (session->last_answered == conversation) session->last_answered = before;
  conversation->is_answered = false;
  conversation->next = NULL;
}

/* Nobody waits for what the server says to that: where it has not heard it, or there was no memory
 * to say it, what it pushes tells (see handle_stray). */
static void unsubscribe_from(pump_session *session, const pump_tcp_correlation *id) {
  pump_tcp_frame_write(&session->output, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, id, (pump_bytes){0},
                       (pump_bytes){0}, (pump_bytes){0});
}

static void unsubscribe(pump_session *session, const pump_conversation *conversation) {
  pump_tcp_correlation id = correlation_of(session, conversation->slot - 1);
  unsubscribe_from(session, &id);
}

void pump_session_forget(pump_session *session, pump_conversation *conversation) {
  if (conversation->slot != 0 && !conversation->is_answered) conversation->is_unsure = true;
  unlist(session, conversation);
  if (conversation->slot != 0 && pump_kind_subscribes(conversation->request.kind))
    unsubscribe(session, conversation);
  leave_registry(session, conversation);
}

int pump_session_submit(pump_session *session, pump_conversation *conversation) {
  if (session->first_free == 0 && more_slots(session) != 0) return PUMP_ENOMEM;
  uint32_t index = session->first_free - 1;
  pump_tcp_correlation correlation = correlation_of(session, index);
  int code = pump_tcp_encode_request(&session->output, &conversation->request, &correlation);
  if (code != 0) return code;
  session->has_login |= conversation->request.username.data != NULL;
  session->first_free = session->slots[index].next_free;
  session->slots[index].conversation = conversation;
  conversation->slot = index + 1;
  conversation->attempts++;
  return 0;
}

int pump_session_answer(pump_session *session, const pump_conversation *conversation,
                        const pump_answer *answer) {
  if (conversation->slot == 0) return 0;
  pump_tcp_correlation correlation = correlation_of(session, conversation->slot - 1);
  return pump_tcp_encode_answer(&session->output, conversation, answer, &correlation);
}

pump_conversation *pump_session_next(pump_session *session) {
  pump_conversation *conversation = session->answered;
  if (conversation) {
    session->answered = conversation->next;
    conversation->is_answered = false;
    conversation->next = NULL;
  }
  return conversation;
}

static bool is_handshake(const pump_session *session, const pump_conversation *conversation) {
  return conversation == session->authenticate || conversation == session->identify;
}

pump_conversation *pump_session_waiting(pump_session *session) {
  for (; session->scanned < session->slot_count; session->scanned++) {
    pump_conversation *conversation = session->slots[session->scanned].conversation;
    if (conversation && !is_handshake(session, conversation)) return conversation;
  }
  return NULL;
}

/* ---- The handshake ------------------------------------------------------------------------ */

static int prepare_handshake(pump_session *session, const pump_session_options *options) {
  pump_request authenticate = {
      .kind = PUMP_AUTHENTICATE, .username = options->username, .password = options->password};
  pump_request identify = {.kind = PUMP_IDENTIFY, .stream = options->name};
  int code = 0;
  if (options->username.data) code = pump_conversation_new(&session->authenticate, &authenticate);
  return code == 0 ? pump_conversation_new(&session->identify, &identify) : code;
}

/* Both at once: a refused login ends the handshake whatever the other answer is. */
static int start_handshake(pump_session *session) {
  int code = 0;
  session->handshake_again = 0;
  if (session->authenticate && session->authenticate->slot == 0)
    code = pump_session_submit(session, session->authenticate);
  if (code == 0 && session->identify && session->identify->slot == 0)
    code = pump_session_submit(session, session->identify);
  return code;
}

static void end_handshake(pump_session *session, pump_conversation **which) {
  leave_registry(session, *which);
  pump_conversation_free(*which);
  *which = NULL;
}

static void shake(pump_session *session, pump_conversation *conversation, uint64_t now) {
  pump_conversation **which =
      conversation == session->authenticate ? &session->authenticate : &session->identify;
  leave_registry(session, conversation);
  if (conversation->result.status != 0 && session->status == 0)
    snprintf(session->words, sizeof session->words, "%s", conversation->result.message);
  if (conversation->decision == PUMP_RETRY) {
    session->handshake_again = now + HANDSHAKE_PAUSE;
    return;
  }
  if (session->status == 0) session->status = conversation->result.status;
  end_handshake(session, which);
  /* From here on we know who speaks, and a length that is too large is no stranger's noise. */
  session->reader.skips_large = !session->authenticate && !session->identify;
  if (session->reader.skips_large && session->status == 0) session->words[0] = '\0';
}

pump_decision pump_session_handshake(const pump_session *session, int *status) {
  *status = session->status;
  bool over = session->status != 0 || (!session->authenticate && !session->identify);
  return over ? PUMP_DONE : PUMP_RETRY;
}

/* ---- Frames ------------------------------------------------------------------------------- */

static int refuse_connection(pump_session *session, pump_bytes text) {
  size_t size = text.size < 200 ? text.size : 200;
  const char *newline = size ? memchr(text.data, '\n', size) : NULL;
  if (newline) size = (size_t)(newline - text.data);
  snprintf(session->words, sizeof session->words, "the server refused the connection: %.*s",
           (int)size, size ? text.data : "");
  return PUMP_EPROTOCOL;
}

static void answered(pump_session *session, pump_conversation *conversation, uint64_t now) {
  if (is_handshake(session, conversation)) {
    shake(session, conversation, now);
    return;
  }
  if (conversation->decision != PUMP_GO_ON) leave_registry(session, conversation);
  list(session, conversation);
}

/* ---- Pushes ------------------------------------------------------------------------------- */

static bool put_push(pump_conversation *conversation, pump_page *page) {
  pump_push *push = malloc(sizeof *push);
  if (!push) return false;
  *push = (pump_push){.page = page};
  if (conversation->pushes)
    conversation->last_push->next = push;
  else
    conversation->pushes = push;
  conversation->last_push = push;
  return true;
}

static uint8_t push_command(const pump_conversation *conversation) {
  return conversation->request.kind == PUMP_CONSUME
             ? PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED
             : PUMP_TCP_STREAM_EVENT_APPEARED;
}

/* What was pushed to one subscription since becomes one page. One that cannot be read, or kept,
 * ends the subscription: nothing is lost without a word. */
static void end_run(pump_session *session) {
  pump_conversation *conversation = session->running;
  if (!conversation) return;
  pump_page *page;
  int code = pump_tcp_decode_pushes(push_command(conversation), session->reader.block, session->run,
                                    session->run_length, &page);
  session->running = NULL;
  session->run_length = 0;
  if (code == 0 && !put_push(conversation, page)) {
    pump_page_unref(page);
    code = PUMP_ENOMEM;
  }
  if (code != 0) {
    unsubscribe(session, conversation);
    leave_registry(session, conversation);
    pump_conversation_fail(conversation, code,
                           code == PUMP_EPROTOCOL ? "an event that cannot be read" : NULL);
    conversation->result.retryable = code == PUMP_ENOMEM;
  }
  list(session, conversation);
}

static void push(pump_session *session, pump_conversation *conversation, pump_bytes body) {
  if (session->running != conversation || session->run_length == LONGEST_RUN) end_run(session);
  if (conversation->slot == 0) return; /* the run before ended it */
  session->running = conversation;
  session->run[session->run_length++] = body;
}

/* One that there is no memory for is followed by others. */
static void push_checkpoint(pump_session *session, pump_conversation *conversation,
                            pump_bytes body) {
  pump_page *page = pump_page_new(NULL, 0, 0);
  if (!page) return;
  page->next_position = pump_tcp_translate_checkpoint(body);
  if (put_push(conversation, page))
    list(session, conversation);
  else
    pump_page_unref(page);
}

/* ---- What comes --------------------------------------------------------------------------- */

static bool is_pushed(const pump_conversation *conversation, uint8_t command) {
  return (pump_kind_subscribes(conversation->request.kind) &&
          command == push_command(conversation)) ||
         (conversation->request.kind == PUMP_SUBSCRIBE && command == PUMP_TCP_CHECKPOINT_REACHED);
}

/* What no answer is. Before it is confirmed there is no subscription that it could belong to. */
static void take_pushed(pump_session *session, pump_conversation *conversation,
                        const pump_tcp_frame *frame) {
  if (!conversation->was_confirmed && !conversation->is_open) {
    say(session, PUMP_LOG_WARNING, "dropped what belongs to no subscription yet", frame);
  } else if (frame->command == push_command(conversation)) {
    push(session, conversation, frame->payload);
  } else {
    end_run(session);
    if (conversation->slot != 0) push_checkpoint(session, conversation, frame->payload);
  }
}

/* A page of large events, which no client takes. Only its question fails. */
static void handle_too_large(pump_session *session, const pump_tcp_frame *frame, uint64_t now) {
  pump_conversation *conversation = find(session, &frame->correlation);
  say(session, PUMP_LOG_WARNING, "skipping a frame of more than 64 MiB", frame);
  if (!conversation) return;
  if (pump_kind_subscribes(conversation->request.kind)) unsubscribe(session, conversation);
  pump_reply reply = {.outcome = PUMP_OUTCOME_TOO_LARGE, .current_version = PUMP_UNKNOWN};
  pump_conversation_inspect(conversation, &reply);
  answered(session, conversation, now);
}

/* What nobody waits for. Events of a subscription that we have left may have been on their way; but
 * when they go on, the server did not hear that we left, and would go on for ever: a group would
 * wait for our answers to them. */
static void handle_stray(pump_session *session, const pump_tcp_frame *frame, uint64_t now) {
  const pump_tcp_correlation *id = &frame->correlation;
  bool is_push = frame->command == PUMP_TCP_STREAM_EVENT_APPEARED ||
                 frame->command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED;
  say(session, PUMP_LOG_DEBUG, "dropped a frame that nobody waits for", frame);
  if (!is_push || memcmp(id->bytes, session->seed, 8) != 0) return;
  if (now < session->stray_at + STRAY_PAUSE && memcmp(id, &session->stray, sizeof *id) == 0) return;
  session->stray = *id;
  session->stray_at = now;
  unsubscribe_from(session, id);
}

/* Whatever else ends it, the server still has it: a refused answer of a consumer, mostly. */
static bool must_unsubscribe(const pump_conversation *conversation, const pump_tcp_frame *frame,
                             const pump_reply *reply) {
  bool was_subscribed = conversation->was_confirmed || conversation->is_open ||
                        reply->outcome == PUMP_OUTCOME_CONFIRMED;
  return was_subscribed && conversation->decision != PUMP_GO_ON &&
         frame->command != PUMP_TCP_SUBSCRIPTION_DROPPED;
}

static int handle_frame(pump_session *session, const pump_tcp_frame *frame, uint64_t now) {
  static const pump_tcp_correlation nobody;
  if (frame->command == PUMP_TCP_HEARTBEAT_REQUEST)
    return pump_tcp_frame_write(&session->output, PUMP_TCP_HEARTBEAT_RESPONSE, &frame->correlation,
                                (pump_bytes){0}, (pump_bytes){0}, (pump_bytes){0});
  if (frame->command == PUMP_TCP_HEARTBEAT_RESPONSE) return 0;
  pump_conversation *conversation = find(session, &frame->correlation);
  if (!conversation) {
    if (frame->command == PUMP_TCP_BAD_REQUEST &&
        memcmp(&frame->correlation, &nobody, sizeof nobody) == 0)
      return refuse_connection(session, frame->payload);
    handle_stray(session, frame, now);
    return 0;
  }
  if (is_pushed(conversation, frame->command)) {
    take_pushed(session, conversation, frame);
    return 0;
  }
  end_run(session);
  if (conversation->slot == 0) return 0; /* the run was the last of it */
  pump_reply reply;
  pump_tcp_translate(frame, session->reader.block, conversation->request.kind, &reply);
  if (session->is_secure) {
    reply.leader_host = reply.secure_leader_host;
    reply.leader_port = reply.secure_leader_port;
  }
  if (reply.outcome == PUMP_OUTCOME_UNREADABLE)
    say(session, PUMP_LOG_WARNING, "a reply that cannot be read", frame);
  pump_conversation_inspect(conversation, &reply);
  if (must_unsubscribe(conversation, frame, &reply)) unsubscribe(session, conversation);
  answered(session, conversation, now);
  return 0;
}

/* Who else could it be that answers like this? */
static const char *stranger(const pump_session *session) {
  const uint8_t *at = session->reader.block->data + session->reader.start;
  size_t size = session->reader.end - session->reader.start;
  if (session->spoke || size < 4) return "";
  if (memcmp(at, "HTTP", 4) == 0) return ", it speaks HTTP: is that the server's HTTP port?";
  if ((at[0] == 0x15 || at[0] == 0x16) && at[1] == 3) return ", it speaks TLS";
  return "";
}

int pump_session_space(pump_session *session, uint8_t **to, size_t *size) {
  return pump_tcp_reader_space(&session->reader, to, size);
}

static int handle_frames(pump_session *session, uint64_t now) {
  for (;;) {
    pump_tcp_frame frame;
    int code = pump_tcp_reader_next(&session->reader, &frame);
    if (code == 0) return 0;
    if (code == PUMP_EPROTOCOL) {
      snprintf(session->words, sizeof session->words, "it %s%s (%s)",
               session->spoke ? "sent what no server sends"
                              : "does not speak EventStore's TCP protocol",
               stranger(session), session->reader.error);
      return code;
    }
    if (code == PUMP_EINVALID) { /* an answer with a login is odd, and no reason to leave */
      say(session, PUMP_LOG_WARNING, "skipped an odd frame", &frame);
      continue;
    }
    if (code == PUMP_ETOOLARGE) {
      end_run(session);
      handle_too_large(session, &frame, now);
      continue;
    }
    session->spoke = true;
    ++*session->frames_in;
    if (session->traces) trace(session, "<-", &frame);
    code = handle_frame(session, &frame, now);
    if (code != 0) return code;
  }
}

int pump_session_filled(pump_session *session, size_t size, uint64_t now) {
  uint64_t frames = *session->frames_in;
  pump_tcp_reader_filled(&session->reader, size);
  int code = handle_frames(session, now);
  end_run(session);
  session->unheard += size;
  bool is_enough = session->unheard >= SIGN_OF_LIFE && session->reader.to_skip == 0;
  if (*session->frames_in > frames || is_enough) {
    pump_heartbeat_heard(&session->heartbeat, now);
    session->unheard = 0;
  }
  return code;
}

bool pump_session_has_login(pump_session *session) {
  bool had = session->has_login;
  session->has_login = false;
  return had;
}

pump_buffer *pump_session_output(pump_session *session) {
  return &session->output;
}

/* ---- Life and time ------------------------------------------------------------------------ */

int pump_session_new(pump_session **out, const pump_session_options *options, uint64_t now) {
  *out = NULL;
  pump_session *session = calloc(1, sizeof *session);
  if (!session) return PUMP_ENOMEM;
  pump_tcp_reader_init(&session->reader, PUMP_MAX_FRAME);
  pump_heartbeat_init(&session->heartbeat, options->heartbeat_interval, options->heartbeat_timeout,
                      now);
  memcpy(session->seed, options->seed, sizeof session->seed);
  session->seed[0] |= 1; /* a correlation id is never all zero */
  session->is_secure = options->is_secure;
  session->log = options->log;
  session->log_ud = options->log_ud;
  session->traces = options->log && options->traces;
  session->frames_in = options->frames_in;
  int code = prepare_handshake(session, options);
  if (code == 0) code = start_handshake(session);
  if (code != 0) {
    pump_session_free(session);
    return code;
  }
  *out = session;
  return 0;
}

void pump_session_free(pump_session *session) {
  if (!session) return;
  pump_conversation_free(session->authenticate);
  pump_conversation_free(session->identify);
  pump_tcp_reader_free(&session->reader);
  if (session->has_login) explicit_bzero(session->output.data, session->output.size);
  pump_buffer_free(&session->output);
  free(session->slots);
  free(session);
}

static int ask_for_life(pump_session *session) {
  pump_tcp_correlation correlation;
  session->heartbeats++;
  memcpy(correlation.bytes, session->seed + 8, 8);
  memcpy(correlation.bytes + 8, &session->heartbeats, 8);
  return pump_tcp_frame_write(&session->output, PUMP_TCP_HEARTBEAT_REQUEST, &correlation,
                              (pump_bytes){0}, (pump_bytes){0}, (pump_bytes){0});
}

int pump_session_tick(pump_session *session, uint64_t now) {
  if (session->handshake_again != 0 && now >= session->handshake_again) {
    int code = start_handshake(session);
    if (code != 0) return code;
  }
  switch (pump_heartbeat_tick(&session->heartbeat, now)) {
  case PUMP_PULSE_ASK: return ask_for_life(session);
  case PUMP_PULSE_DEAD:
    snprintf(session->words, sizeof session->words,
             session->unheard > 0 ? "the server sent no whole frame for %llu ms"
                                  : "the server gave no sign of life for %llu ms",
             (unsigned long long)(session->heartbeat.interval + session->heartbeat.timeout));
    return PUMP_ECLOSED;
  case PUMP_PULSE_FINE: break;
  }
  return 0;
}

uint64_t pump_session_due(const pump_session *session) {
  uint64_t due = pump_heartbeat_due(&session->heartbeat);
  return session->handshake_again != 0 && session->handshake_again < due ? session->handshake_again
                                                                         : due;
}

const char *pump_session_words(const pump_session *session) {
  return session->words;
}

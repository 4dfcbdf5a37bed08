/* Conversations: what each reply makes of each question; and the watch over a silent peer. */
#include "tap.h"

#include <string.h>

#include "base/bytes.h"
#include "base/page.h"
#include "conversation/conversation.h"
#include "conversation/heartbeat.h"

static pump_conversation *make(pump_kind kind) {
  static const pump_new_event events[] = {{.type = {"a", 1}, .data = {"x", 1}}};
  pump_request request = {.kind = kind,
                          .stream = {"ponies", 6},
                          .number = kind == PUMP_APPEND ? 5 : 7,
                          .max_count = 10,
                          .events = events,
                          .count = kind == PUMP_APPEND};
  pump_conversation *conversation = NULL;
  pump_conversation_new(&conversation, &request);
  return conversation;
}

/* ---- Questions ---------------------------------------------------------------------------- */

static int code_of(const pump_request *request) {
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, request);
  pump_conversation_free(conversation);
  return code;
}

static void filters_are_checked_and_copied(void) {
  char first[] = "a-", second[] = "b";
  pump_bytes texts[] = {{first, 2}, {second, 1}};
  pump_request read = {
      .kind = PUMP_READ_ALL, .max_count = 10, .filter = {.texts = texts, .count = 2}};
  pump_conversation *conversation = NULL;
  tap_ok(pump_conversation_new(&conversation, &read) == 0, "a filter of two prefixes");
  first[0] = second[0] = 'x';
  const pump_filter *copy = &conversation->request.filter;
  tap_ok(copy->count == 2 && pump_bytes_is(copy->texts[0], "a-") &&
             pump_bytes_is(copy->texts[1], "b"),
         "is the conversation's own");
  pump_reply reply = {.outcome = PUMP_OUTCOME_BAD_REQUEST, .text = pump_bytes_of("command 186")};
  pump_conversation_inspect(conversation, &reply);
  tap_ok(conversation->result.status == PUMP_ENOTSUPPORTED,
         "who does not know filters does not support them: %s", conversation->result.message);
  reply.text = pump_bytes_of("command FilteredReadAllEventsForward");
  pump_conversation_inspect(conversation, &reply);
  tap_ok(conversation->result.status == PUMP_EBADREQUEST, "who does finds fault with this one");
  pump_conversation_free(conversation);
  read.filter.is_regex = true;
  tap_ok(code_of(&read) == PUMP_EINVALID, "two regular expressions are none");
  read.filter.count = 1;
  tap_ok(code_of(&read) == 0, "one is");
  texts[0].size = 0;
  tap_ok(code_of(&read) == PUMP_EINVALID, "an empty text is none");
}

static void questions_are_checked(void) {
  pump_new_event event = {.type = {"a", 1}};
  pump_request append = {
      .kind = PUMP_APPEND, .stream = {"s", 1}, .number = PUMP_ANY, .events = &event, .count = 1};
  tap_ok(code_of(&append) == 0, "an append of an event without data");
  append.number = -3;
  tap_ok(code_of(&append) == PUMP_EINVALID, "expected version -3 is none");
  append.number = PUMP_STREAM_EXISTS;
  tap_ok(code_of(&append) == 0, "expected version -4 is: the stream exists");
  append.number = -5;
  tap_ok(code_of(&append) == PUMP_EINVALID, "expected version -5 is none");
  append.number = PUMP_ANY;
  append.stream.size = 0;
  tap_ok(code_of(&append) == PUMP_EINVALID, "a stream has a name");
  append.stream.size = 1;
  event.type.size = 0;
  tap_ok(code_of(&append) == PUMP_EINVALID, "an event has a type");
  event.type.size = 1;
  event.data.size = PUMP_MAX_EVENT - 1; /* refused before anything is copied */
  tap_ok(code_of(&append) == PUMP_ETOOLARGE, "an event larger than any server takes");
  event.data = (pump_bytes){NULL, 0};
  static char login[256];
  append.username = (pump_bytes){login, sizeof login};
  tap_ok(code_of(&append) == PUMP_EINVALID, "a login over 255 bytes");

  pump_request delete = {.kind = PUMP_DELETE, .stream = {"s", 1}, .number = PUMP_ANY};
  tap_ok(code_of(&delete) == 0, "a stream is deleted whatever its version");
  delete.number = -3;
  tap_ok(code_of(&delete) == PUMP_EINVALID, "but at no version -3");
  delete.number = 0;
  delete.stream.size = 0;
  tap_ok(code_of(&delete) == PUMP_EINVALID, "and not without its name");

  pump_request read = {.kind = PUMP_READ_STREAM, .stream = {"s", 1}, .max_count = PUMP_MAX_PAGE};
  tap_ok(code_of(&read) == 0, "a page of 4096");
  read.max_count++;
  tap_ok(code_of(&read) == PUMP_EINVALID, "a page of 4097");
  read.max_count = 0;
  tap_ok(code_of(&read) == PUMP_EINVALID, "a page of none");
  read.max_count = 1;
  read.number = PUMP_END;
  tap_ok(code_of(&read) == PUMP_EINVALID, "forward from the end");
  read.backward = true;
  tap_ok(code_of(&read) == 0, "backward from the end");
}

static void a_question_is_copied(void) {
  char stream[] = "ponies", type[] = "PonyJumped", data[] = "{}";
  pump_new_event event = {.type = {type, 10}, .data = {data, 2}, .is_json = true};
  pump_request request = {
      .kind = PUMP_APPEND, .stream = {stream, 6}, .number = 1, .events = &event, .count = 1};
  pump_conversation *conversation;
  pump_conversation_new(&conversation, &request);
  memset(stream, '-', 6);
  memset(type, '-', 10);
  memset(data, '-', 2);
  event = (pump_new_event){0};
  const pump_request *kept = &conversation->request;
  tap_ok(pump_bytes_is(kept->stream, "ponies") &&
             pump_bytes_is(kept->events[0].type, "PonyJumped") &&
             pump_bytes_is(kept->events[0].data, "{}") && kept->events[0].is_json,
         "what was asked stays, whatever becomes of the caller's memory");
  pump_conversation_free(conversation);
}

/* ---- Replies ------------------------------------------------------------------------------ */

static void outcomes_decide(void) {
  static const struct {
    pump_outcome outcome;
    pump_decision decision;
    int status;
    bool retryable;
  } table[] = {
      {PUMP_OUTCOME_SUCCESS, PUMP_DONE, 0, false},
      {PUMP_OUTCOME_NO_STREAM, PUMP_DONE, PUMP_ENOSTREAM, false},
      {PUMP_OUTCOME_STREAM_DELETED, PUMP_DONE, PUMP_EDELETED, false},
      {PUMP_OUTCOME_WRONG_VERSION, PUMP_DONE, PUMP_EVERSION, false},
      {PUMP_OUTCOME_ACCESS_DENIED, PUMP_DONE, PUMP_EACCESS, false},
      {PUMP_OUTCOME_NOT_AUTHENTICATED, PUMP_DONE, PUMP_ENOTAUTHENTICATED, false},
      {PUMP_OUTCOME_INVALID_TRANSACTION, PUMP_DONE, PUMP_ETRANSACTION, false},
      {PUMP_OUTCOME_SERVER_TIMEOUT, PUMP_RETRY, PUMP_ETIMEOUT, true},
      {PUMP_OUTCOME_NOT_READY, PUMP_RETRY, PUMP_ENOTREADY, true},
      {PUMP_OUTCOME_TOO_BUSY, PUMP_RETRY, PUMP_EBUSY, true},
      {PUMP_OUTCOME_NOT_LEADER, PUMP_MOVE, PUMP_ENOTLEADER, true},
      {PUMP_OUTCOME_READ_ONLY, PUMP_DONE, PUMP_ENOTHANDLED, false},
      {PUMP_OUTCOME_ERROR, PUMP_DONE, PUMP_EBADREQUEST, false},
      {PUMP_OUTCOME_BAD_REQUEST, PUMP_DONE, PUMP_EBADREQUEST, false},
      {PUMP_OUTCOME_TOO_LARGE, PUMP_DONE, PUMP_ETOOLARGE, false},
      {PUMP_OUTCOME_UNREADABLE, PUMP_DONE, PUMP_EPROTOCOL, false},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    pump_conversation *conversation = make(PUMP_APPEND);
    pump_reply reply = {.outcome = table[i].outcome, .current_version = PUMP_UNKNOWN};
    pump_decision decision = pump_conversation_inspect(conversation, &reply);
    tap_ok(decision == table[i].decision && conversation->result.status == table[i].status &&
               conversation->result.retryable == table[i].retryable,
           "outcome %d of an append is %s", (int)table[i].outcome,
           pump_error_name(table[i].status));
    pump_conversation_free(conversation);
  }
}

static void failures_speak(void) {
  pump_conversation *conversation = make(PUMP_APPEND);
  pump_reply reply = {.outcome = PUMP_OUTCOME_WRONG_VERSION,
                      .text = pump_bytes_of("Wrong expected version.\nat line 1\x1b[31m"),
                      .current_version = 9};
  pump_conversation_inspect(conversation, &reply);
  tap_ok(strcmp(conversation->result.message,
                "the stream is not at the expected version: stream \"ponies\", expected event 5, "
                "is at event 9 (Wrong expected version.)") == 0,
         "a wrong version says what was expected, what is there and what the server said, in one "
         "line: %s",
         conversation->result.message);
  tap_ok(conversation->result.current_version == 9, "and gives the current version");
  pump_conversation_free(conversation);

  conversation = make(PUMP_APPEND);
  reply = (pump_reply){.outcome = PUMP_OUTCOME_NOT_LEADER,
                       .leader_host = pump_bytes_of("10.0.0.7"),
                       .leader_port = 1113};
  tap_ok(pump_conversation_inspect(conversation, &reply) == PUMP_MOVE &&
             strcmp(conversation->result.leader_host, "10.0.0.7") == 0 &&
             conversation->result.leader_port == 1113,
         "a server that is not the leader says who is");
  reply.leader_host = pump_bytes_of("10.0.0.7\x1b[2J");
  pump_conversation_inspect(conversation, &reply);
  tap_ok(!conversation->result.leader_host && !strchr(conversation->result.message, '\x1b'),
         "what is no address is none, and in no message: %s", conversation->result.message);
  pump_conversation_free(conversation);
}

/* What a server refused has not been done, unless it was asked another time, and did not answer. */
/* Words are cut where a line is too long, and never within a character. */
static void long_words_end_with_a_character(void) {
  char words[401];
  pump_conversation *conversation = make(PUMP_APPEND);
  for (size_t i = 0; i < 400; i += 2)
    memcpy(words + i + 1, "\xc3\xa4", 2);
  words[0] = 'a';
  pump_reply reply = {.outcome = PUMP_OUTCOME_ERROR, .text = {words, sizeof words}};
  pump_conversation_inspect(conversation, &reply);
  const char *end = strrchr(conversation->result.message, ')');
  tap_ok(end && memcmp(end - 2, "\xc3\xa4)", 3) == 0, "the last character is a whole one");
  pump_conversation_free(conversation);
}

static void what_is_sure(void) {
  static const pump_reply busy = {.outcome = PUMP_OUTCOME_TOO_BUSY};
  for (int i = 0; i < 4; i++) {
    bool is_write = i < 3;
    pump_conversation *conversation = make(is_write ? PUMP_APPEND : PUMP_READ_STREAM);
    if (i == 2) conversation->is_unsure = true;
    pump_conversation_inspect(conversation, &busy);
    if (i == 1 || i == 3) conversation->is_unsure = true;
    pump_conversation_fail(conversation, PUMP_ETIMEOUT, NULL);
    bool is_open = strstr(conversation->result.message, "may have been done") != NULL;
    bool has_reason = strstr(conversation->result.message, "too many requests") != NULL;
    bool is_open_question = i == 1 || i == 2;
    tap_ok(conversation->result.status == (is_open_question ? PUMP_ETIMEOUT : PUMP_EBUSY) &&
               is_open == is_open_question && has_reason == (i != 1),
           "%s: %s",
           i == 0   ? "refused all the time"
           : i == 1 ? "refused, and then not answered"
           : i == 2 ? "not answered, and then refused"
                    : "a read is never an open question",
           conversation->result.message);
    pump_conversation_free(conversation);
  }
}

static void a_read_needs_its_page(void) {
  pump_conversation *conversation = make(PUMP_READ_STREAM);
  pump_reply reply = {.outcome = PUMP_OUTCOME_SUCCESS};
  pump_conversation_inspect(conversation, &reply);
  tap_ok(conversation->result.status == PUMP_EPROTOCOL, "success without a page is none");
  reply.page = pump_page_new(NULL, 0, 0);
  pump_conversation_inspect(conversation, &reply);
  tap_ok(conversation->result.status == 0 && conversation->result.page == reply.page,
         "an empty page of a stream is a success");
  pump_conversation_free(conversation);

  conversation = make(PUMP_READ_EVENT);
  reply.page = pump_page_new(NULL, 0, 0);
  pump_conversation_inspect(conversation, &reply);
  tap_ok(conversation->result.status == PUMP_ENOEVENT, "success without the event is no event");
  pump_conversation_free(conversation);
}

static void time_runs_out(void) {
  pump_conversation *conversation = make(PUMP_APPEND);
  pump_conversation_fail(conversation, PUMP_ETIMEOUT, NULL);
  tap_ok(conversation->result.status == PUMP_ETIMEOUT && conversation->result.retryable,
         "without an answer it is a timeout: %s", conversation->result.message);
  pump_conversation_free(conversation);

  conversation = make(PUMP_APPEND);
  pump_reply reply = {.outcome = PUMP_OUTCOME_NOT_READY};
  pump_conversation_inspect(conversation, &reply);
  pump_conversation_fail(conversation, PUMP_ETIMEOUT, NULL);
  tap_ok(conversation->result.status == PUMP_ENOTREADY,
         "after a refusal that was to be tried again, the refusal is the cause");
  pump_conversation_free(conversation);
}

/* ---- Heartbeats --------------------------------------------------------------------------- */

static void silence_is_watched(void) {
  pump_heartbeat watch;
  pump_heartbeat_init(&watch, 1000, 300, 0);
  tap_ok(pump_heartbeat_tick(&watch, 999) == PUMP_PULSE_FINE, "within the interval all is fine");
  pump_heartbeat_heard(&watch, 900);
  tap_ok(pump_heartbeat_tick(&watch, 1000) == PUMP_PULSE_ASK,
         "after it the peer is asked, whatever came: it wants to hear us, too");
  tap_ok(pump_heartbeat_tick(&watch, 1899) == PUMP_PULSE_FINE, "what came began a new interval");
  tap_ok(pump_heartbeat_tick(&watch, 1900) == PUMP_PULSE_ASK, "after it the peer is asked");
  tap_ok(pump_heartbeat_tick(&watch, 2000) == PUMP_PULSE_FINE, "once");
  tap_ok(pump_heartbeat_tick(&watch, 2200) == PUMP_PULSE_DEAD, "and dead when it stays silent");
  pump_heartbeat_init(&watch, 1000, 5000, 0);
  unsigned asked = 0;
  for (uint64_t now = 0; now < 10000; now += 100) { /* a page that drips in */
    pump_heartbeat_heard(&watch, now);
    asked += pump_heartbeat_tick(&watch, now) == PUMP_PULSE_ASK;
  }
  tap_ok(asked == 9, "where bytes come all the time it is asked each interval: %u times", asked);
  pump_heartbeat_init(&watch, 1000, 5000, 0);
  for (asked = 0; pump_heartbeat_tick(&watch, 0) == PUMP_PULSE_FINE && asked < 5; asked++)
    pump_heartbeat_tick(&watch, pump_heartbeat_due(&watch));
  tap_ok(pump_heartbeat_due(&watch) == 6000 && pump_heartbeat_tick(&watch, 6000) == PUMP_PULSE_DEAD,
         "asking again puts the end off no further");
  pump_heartbeat_init(&watch, 1000, 300, 0);
  pump_heartbeat_tick(&watch, 1000);
  tap_ok(pump_heartbeat_tick(&watch, 60000) == PUMP_PULSE_ASK,
         "who slept for a minute asks again instead of judging");
  tap_ok(pump_heartbeat_tick(&watch, 60300) == PUMP_PULSE_DEAD, "and judges then");
  pump_heartbeat_init(&watch, 0, 0, 0);
  tap_ok(pump_heartbeat_tick(&watch, 1 << 30) == PUMP_PULSE_FINE &&
             pump_heartbeat_due(&watch) == UINT64_MAX,
         "interval 0 never asks");
}

int main(void) {
  questions_are_checked();
  filters_are_checked_and_copied();
  a_question_is_copied();
  outcomes_decide();
  failures_speak();
  long_words_end_with_a_character();
  what_is_sure();
  a_read_needs_its_page();
  time_runs_out();
  silence_is_watched();
  return tap_done();
}

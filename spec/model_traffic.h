/* Random requests, good and bad, for model_test.c: each is asked of the model when it is sent, and
 * what must come back is kept until it does. */
#ifndef SPEC_MODEL_TRAFFIC_H
#define SPEC_MODEL_TRAFFIC_H

#include "tap.h"

#include "model.h"
#include "node_child.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { PEERS = 6, STREAMS = 30, BURST = 24, MAX_EVENTS = 8, MAX_PENDING = 1024 };

typedef enum kind { WRITE, REMOVE, READ_ONE, READ_PAGE, READ_ALL, SIMPLE, TRANSACTION, KINDS } kind;

/* A request that is on its way, and what must come back. */
typedef struct question {
  bool is_open;
  kind kind;
  uint8_t answer; /* the command */
  model_user who;
  model_stream *stream;
  bool is_meta; /* the stream's metastream is meant */
  model_written written;
  int64_t from;
  int32_t max_count;
  bool backward;
} question;

typedef struct peer {
  node_peer wire;
  int open_count;
} peer;

static struct {
  const char *file;
  node_child child;
  peer peers[PEERS];
  node_peer watcher;  /* subscribed to $all: */
  int64_t *watched;   /* positions that it got, */
  size_t watch_count; /* so many, */
  size_t watch_room;
  size_t watch_judged; /* of which these were compared; */
  int64_t watch_from;  /* it gets what is behind this */
  model_stream streams[STREAMS];
  question questions[MAX_PENDING];
  uint64_t random;
  uint32_t next_number;
  uint64_t next_id;
  int64_t newest;  /* the highest position that was heard of */
  int64_t scanned; /* where $all was not looked at yet */
  unsigned counts[KINDS];
  uint64_t bytes;
  long megabytes;
  unsigned restarts;
  char why[256];
} at;

__attribute__((format(printf, 2, 3))) static bool must(bool holds, const char *format, ...) {
  va_list arguments;
  if (holds || at.why[0]) return holds;
  va_start(arguments, format);
  vsnprintf(at.why, sizeof at.why, format, arguments);
  va_end(arguments);
  return false;
}

/* ---- Chance ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

static int dice(int sides) {
  at.random += 0x9e3779b97f4a7c15u;
  return (int)(mix(at.random) % (uint64_t)sides);
}

/* ---- Events ------------------------------------------------------------------------------- */

static size_t size_of(uint64_t id) {
  uint64_t chance = mix(id);
  return chance % 50 == 0 ? 60000 : chance % 7 == 0 ? 3000 : chance % 200;
}

static void event_of(uint64_t id, pump_new_event *event) {
  static char bytes[60000 + 26];
  static const char *const types[] = {"a", "thing", "$odd"};
  for (size_t i = 0; bytes[sizeof bytes - 1] == '\0' && i < sizeof bytes; i++)
    bytes[i] = (char)('a' + i % 26);
  *event = (pump_new_event){.type = pump_bytes_of(types[id % 3]), .is_json = id % 2};
  memcpy(event->id.bytes + 8, &id, sizeof id); /* this half is the same on the wire */
  event->data = (pump_bytes){bytes + id % 26, size_of(id)};
  event->metadata = (pump_bytes){bytes + id % 13, (size_t)(id % 5)};
}

static bool same_event(const PumpTcp__EventRecord *got, uint64_t id) {
  pump_new_event event;
  event_of(id, &event);
  return pump_bytes_equal(pump_tcp_view(got->event_id),
                          (pump_bytes){(const char *)event.id.bytes, 16}) &&
         pump_bytes_equal(pump_tcp_view(got->event_type), event.type) &&
         pump_bytes_equal(pump_tcp_view(got->data), event.data) &&
         pump_bytes_equal(pump_tcp_view(got->metadata), event.metadata) &&
         (got->data_content_type == 1) == event.is_json;
}

/* ---- Asking ------------------------------------------------------------------------------- */

static const char *login_of(model_user who) {
  static const char *const logins[] = {NULL, "admin", "ops", "ops"};
  return logins[who];
}

static pump_bytes password_of(model_user who) {
  return pump_bytes_of(who == NOBODY ? NULL : who == WRONG_PASSWORD ? "wrong" : "changeit");
}

/* Opens the question; its number stands in the correlation id. */
static question *ask(peer *from, kind what, uint8_t answer, model_user who,
                     pump_tcp_correlation *id) {
  uint32_t number = at.next_number++;
  question *asked = &at.questions[number % MAX_PENDING];
  must(!asked->is_open, "too many questions at once");
  *asked = (question){.is_open = true, .kind = what, .answer = answer, .who = who};
  if (who == WRONG_PASSWORD) asked->answer = PUMP_TCP_NOT_AUTHENTICATED;
  *id = (pump_tcp_correlation){{0}};
  memcpy(id->bytes, &number, sizeof number);
  from->open_count++;
  at.counts[what]++;
  return asked;
}

static void pack(peer *from, uint8_t command, const pump_tcp_correlation *id, model_user who,
                 const ProtobufCMessage *message) {
  pump_tcp_pack(&from->wire.out, command, id, pump_bytes_of(login_of(who)), password_of(who),
                message);
}

static model_user any_user(void) {
  int chance = dice(20);
  return chance == 0 ? WRONG_PASSWORD : chance < 4 ? OPS : chance < 10 ? ADMIN : NOBODY;
}

static int64_t any_version(int64_t last) {
  static const int64_t special[] = {PUMP_ANY, PUMP_NO_STREAM, PUMP_STREAM_EXISTS};
  int chance = dice(10);
  if (chance < 5) return special[chance % 3];
  return chance < 8 || last < 1 ? last : dice((int)last + 3) - 1;
}

/* Deletions and transactions know no StreamExists: servers take it for a bad request. */
static int64_t any_version_of_old(int64_t last) {
  int64_t version = any_version(last);
  return version == PUMP_STREAM_EXISTS ? PUMP_ANY : version;
}

/* Ids of a write: new ones, those of one that was done, or some of each. Retries are of what can
 * still be read: what can't may be gone. */
static int any_ids(const model_stream *stream, uint64_t *ids, int64_t *expected) {
  int count = 1 + dice(MAX_EVENTS - 1), old = 0;
  int64_t first = model_first(stream), left = stream->count - first;
  if (!stream->is_gone && !model_is_hidden(stream) && left > 0 && dice(5) == 0) {
    int64_t from = first + dice((int)left);
    old = (int)(stream->count - from < count ? stream->count - from : count);
    for (int i = 0; i < old; i++) {
      ids[i] = stream->events[from + i].id;
      if (model_number_of(stream, ids[i]) < first) old = i;
    }
    if (dice(2) == 0) *expected = from - 1;
    if (dice(3) > 0) count = old;
  }
  for (int i = old; i < count; i++)
    ids[i] = ++at.next_id;
  if (old == 0 && dice(30) == 0 && !model_is_hidden(stream)) count = 0;
  return count;
}

static void ask_append(peer *from, model_stream *stream) {
  uint64_t ids[MAX_EVENTS];
  pump_new_event events[MAX_EVENTS];
  model_user who = any_user();
  int64_t expected = any_version(stream->count - 1);
  int count = any_ids(stream, ids, &expected);
  for (int i = 0; i < count; i++) {
    event_of(ids[i], &events[i]);
    at.bytes += events[i].data.size;
  }
  pump_tcp_correlation id;
  question *asked = ask(from, WRITE, PUMP_TCP_WRITE_EVENTS_COMPLETED, who, &id);
  asked->stream = stream;
  pump_tcp_encode_write(&from->wire.out, &id, pump_bytes_of(login_of(who)), password_of(who),
                        pump_bytes_of(stream->name), expected, dice(2), events, (size_t)count);
  if (who == WRONG_PASSWORD) return;
  asked->written = model_may(stream->metadata.ops_write, who)
                       ? model_append(stream, expected, ids, count)
                       : model_refuse(RESULT(ACCESS_DENIED), -1);
}

/* Never so that something is to be seen again that was hidden: it may be gone. */
static model_metadata any_metadata(const model_stream *stream, char text[96]) {
  model_metadata metadata = model_no_metadata;
  const char *more = "";
  char most[32];
  if (stream->floor > 0 || dice(2)) metadata.truncate_before = stream->floor + dice(10);
  switch (dice(7)) {
  case 0:
    metadata.is_void = stream->floor == 0;
    /* A 0 is as if it were not there. */
    more = metadata.is_void ? ",\"$maxCount\":\"5\"" : ",\"$maxCount\":0";
    break;
  case 1: more = ",\"mine\":[1,2],\"$maxAge\":36000"; break;
  case 2:
    metadata.ops_read = true;
    more = ",\"$acl\":{\"$r\":\"ops\"}";
    break;
  case 3:
    metadata.ops_write = true;
    more = ",\"$acl\":{\"$w\":[\"ops\",\"$nobody\"]}";
    break;
  case 4:
  case 5:
    metadata.max_count = 1 + dice(20);
    snprintf(most, sizeof most, ",\"$maxCount\":%d", (int)metadata.max_count);
    more = most;
  }
  if (metadata.truncate_before >= 0)
    snprintf(text, 96, "{\"$tb\":%d%s}", (int)metadata.truncate_before, more);
  else
    snprintf(text, 96, "{%s}", *more ? more + 1 : more);
  if (metadata.is_void) metadata.truncate_before = -1;
  return metadata;
}

static void ask_metadata(peer *from, model_stream *stream) {
  char name[64], text[96];
  model_metadata metadata = any_metadata(stream, text);
  int64_t last = stream->meta_count - 1;
  int64_t expected = dice(3) ? PUMP_ANY : dice(4) ? last : last + dice(3) - 1;
  if (expected < PUMP_NO_STREAM) expected = PUMP_ANY;
  model_user who = any_user();
  pump_new_event event = {
      .type = pump_bytes_of("$metadata"), .data = pump_bytes_of(text), .is_json = true};
  uint64_t number = ++at.next_id;
  memcpy(event.id.bytes + 8, &number, sizeof number);
  snprintf(name, sizeof name, "$$%s", stream->name);
  pump_tcp_correlation id;
  question *asked = ask(from, WRITE, PUMP_TCP_WRITE_EVENTS_COMPLETED, who, &id);
  asked->stream = stream;
  asked->is_meta = true;
  pump_tcp_encode_write(&from->wire.out, &id, pump_bytes_of(login_of(who)), password_of(who),
                        pump_bytes_of(name), expected, false, &event, 1);
  if (who != WRONG_PASSWORD) asked->written = model_set_metadata(stream, expected, metadata);
}

static void ask_delete(peer *from, model_stream *stream) {
  model_user who = any_user();
  bool is_open = !stream->metadata.ops_read && !stream->metadata.ops_write;
  bool for_ever = is_open && dice(8) == 0;
  int64_t expected = any_version_of_old(stream->count - 1);
  pump_tcp_correlation id;
  question *asked = ask(from, REMOVE, PUMP_TCP_DELETE_STREAM_COMPLETED, who, &id);
  asked->stream = stream;
  PumpTcp__DeleteStream body = PUMP_TCP__DELETE_STREAM__INIT;
  body.has_event_stream_id = body.has_expected_version = body.has_hard_delete = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream->name));
  body.expected_version = expected;
  body.hard_delete = for_ever;
  pack(from, PUMP_TCP_DELETE_STREAM, &id, who, &body.base);
  if (who != WRONG_PASSWORD) asked->written = model_delete(stream, expected, for_ever);
}

static void ask_event(peer *from, model_stream *stream) {
  model_user who = any_user();
  pump_tcp_correlation id;
  question *asked = ask(from, READ_ONE, PUMP_TCP_READ_EVENT_COMPLETED, who, &id);
  asked->stream = stream;
  asked->from = dice((int)stream->count + 3) - 1;
  PumpTcp__ReadEvent body = PUMP_TCP__READ_EVENT__INIT;
  body.has_event_stream_id = body.has_event_number = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream->name));
  body.event_number = asked->from;
  pack(from, PUMP_TCP_READ_EVENT, &id, who, &body.base);
}

static void ask_page(peer *from, model_stream *stream, model_user who, int64_t first, int32_t count,
                     bool backward, bool is_meta) {
  pump_tcp_correlation id;
  char name[64];
  snprintf(name, sizeof name, "%s%s", is_meta ? "$$" : "", stream->name);
  question *asked = ask(from, READ_PAGE,
                        backward ? PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED
                                 : PUMP_TCP_READ_STREAM_FORWARD_COMPLETED,
                        who, &id);
  asked->stream = stream;
  asked->is_meta = is_meta;
  asked->from = first;
  asked->max_count = count;
  asked->backward = backward;
  PumpTcp__ReadStreamEvents body = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  body.has_event_stream_id = body.has_from_event_number = body.has_max_count = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(name));
  body.from_event_number = first;
  body.max_count = count;
  pack(from, backward ? PUMP_TCP_READ_STREAM_BACKWARD : PUMP_TCP_READ_STREAM_FORWARD, &id, who,
       &body.base);
}

static void ask_any_page(peer *from, model_stream *stream) {
  bool backward = dice(2);
  int32_t count = dice(40) == 0 ? 4097 : 1 + dice(dice(4) ? 20 : 4096);
  int64_t first = backward && dice(2) ? PUMP_END : dice((int)stream->count + 5);
  if (dice(8) == 0)
    ask_page(from, stream, any_user(), PUMP_END, 1, true, true);
  else
    ask_page(from, stream, any_user(), first, count, backward, false);
}

static void ask_all(peer *from) {
  pump_tcp_correlation id;
  model_user who = any_user();
  question *asked = ask(from, READ_ALL, PUMP_TCP_READ_ALL_BACKWARD_COMPLETED, who, &id);
  asked->max_count = 1 + dice(30);
  asked->from = at.newest;
  PumpTcp__ReadAllEvents body = PUMP_TCP__READ_ALL_EVENTS__INIT;
  body.has_commit_position = body.has_prepare_position = body.has_max_count = true;
  body.commit_position = body.prepare_position = -1;
  body.max_count = asked->max_count;
  pack(from, PUMP_TCP_READ_ALL_BACKWARD, &id, who, &body.base);
}

/* What is no good request; the connection goes on. */
static void ask_nonsense(peer *from) {
  static const uint8_t commands[] = {PUMP_TCP_WRITE_EVENTS, PUMP_TCP_DELETE_STREAM,
                                     PUMP_TCP_READ_EVENT, PUMP_TCP_READ_STREAM_BACKWARD,
                                     PUMP_TCP_READ_STREAM_FORWARD};
  uint8_t bytes[32], command = commands[dice((int)sizeof commands)];
  pump_tcp_correlation id;
  model_user who = dice(3) ? NOBODY : ADMIN;
  bool is_ping = dice(3) == 0;
  question *asked = ask(from, SIMPLE, is_ping ? PUMP_TCP_PONG : PUMP_TCP_BAD_REQUEST, who, &id);
  asked->max_count = 1 + dice((int)sizeof bytes);
  memset(bytes, 0xff, sizeof bytes); /* a key without an end */
  pump_tcp_frame_write(&from->wire.out, is_ping ? PUMP_TCP_PING : command, &id,
                       pump_bytes_of(login_of(who)), password_of(who),
                       (pump_bytes){(char *)bytes, (size_t)asked->max_count});
}

#endif

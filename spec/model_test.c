/* Random requests on several connections to one node, and a model beside it that says what must
 * be true: `model_test [SEED [SECONDS]]`, without arguments some seconds of a fixed seed. In
 * between the node is stopped or killed, and goes on with its file. */
#include "model_traffic.h"

#include <time.h>

enum { STEPS = 150 }; /* a round of them has streams of its own */

#ifdef __SANITIZE_ADDRESS__
#define MAX_MEGABYTES 600 /* what is freed is kept for a while */
#else
#define MAX_MEGABYTES 100
#endif

/* ---- Judging ------------------------------------------------------------------------------ */

static void judge_append(const question *asked, const PumpTcp__WriteEventsCompleted *got) {
  const model_written *wanted = &asked->written;
  const char *name = asked->stream->name;
  if (!must(got->result == wanted->result, "%s: a write got %d, not %d", name, got->result,
            wanted->result))
    return;
  if (wanted->result == RESULT(WRONG_EXPECTED_VERSION))
    must(got->current_version == wanted->version, "%s: is said to be at %lld, not %lld", name,
         (long long)got->current_version, (long long)wanted->version);
  if (wanted->result != RESULT(SUCCESS)) return;
  must(got->first_event_number == wanted->first && got->last_event_number == wanted->last,
       "%s: a write got numbers %lld to %lld, not %lld to %lld", name,
       (long long)got->first_event_number, (long long)got->last_event_number,
       (long long)wanted->first, (long long)wanted->last);
  must((got->commit_position >= 0) == wanted->is_new, "%s: position %lld of a write that is %s",
       name, (long long)got->commit_position, wanted->is_new ? "new" : "old");
  if (!wanted->is_new || asked->is_meta || wanted->last < wanted->first) return;
  asked->stream->events[wanted->last].position = got->commit_position;
  if (got->commit_position > at.newest) at.newest = got->commit_position;
}

static void judge_delete(const question *asked, const PumpTcp__DeleteStreamCompleted *got) {
  must(got->result == asked->written.result, "%s: a deletion got %d, not %d", asked->stream->name,
       got->result, asked->written.result);
}

static void judge_event(const question *asked, const PumpTcp__ReadEventCompleted *got) {
  const model_stream *stream = asked->stream;
  int64_t number = asked->from < 0 ? stream->count - 1 : asked->from;
  PumpTcp__ReadEventResult wanted = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NOT_FOUND;
  if (!model_may(stream->metadata.ops_read, asked->who))
    wanted = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ACCESS_DENIED;
  else if (stream->is_gone)
    wanted = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_STREAM_DELETED;
  else if (stream->count == 0 || model_is_hidden(stream))
    wanted = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NO_STREAM;
  else if (model_can_read(stream, number))
    wanted = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS;
  bool is_event = got->event && got->event->event && got->event->event->event_id.len > 0;
  must(got->result == wanted, "%s: event %lld got %d, not %d", stream->name, (long long)asked->from,
       got->result, wanted);
  must(is_event == (wanted == PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS) &&
           (!is_event || (same_event(got->event->event, stream->events[number].id) &&
                          got->event->event->event_number == number)),
       "%s: event %lld is not what was written", stream->name, (long long)asked->from);
}

static PumpTcp__ReadStreamResult page_result(const question *asked) {
  const model_stream *stream = asked->stream;
  if (asked->max_count > PUMP_MAX_PAGE) return PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ERROR;
  if (!asked->is_meta && !model_may(stream->metadata.ops_read, asked->who))
    return PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  if (stream->is_gone) return PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_STREAM_DELETED;
  bool is_nothing =
      asked->is_meta ? stream->meta_count == 0 : stream->count == 0 || model_is_hidden(stream);
  return is_nothing ? PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_NO_STREAM
                    : PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* The events of a page, and that no end is said where more would follow, nor the other way. */
static void judge_events(const question *asked, const PumpTcp__ReadStreamEventsCompleted *got) {
  const model_stream *stream = asked->stream;
  int64_t first = model_first(stream), newest = stream->count - 1;
  int64_t from = asked->from < 0 ? newest : asked->from, low, high;
  if (asked->backward) {
    low = most(first, from - asked->max_count + 1);
    high = least(from, newest);
  } else {
    low = most(first, from);
    high = least(from + asked->max_count - 1, newest);
  }
  int64_t count = high < low ? 0 : high - low + 1;
  if (!must((int64_t)got->n_events == count, "%s: %zu events from %lld, not %lld", stream->name,
            got->n_events, (long long)asked->from, (long long)count))
    return;
  for (int64_t i = 0; i < count; i++) {
    int64_t number = asked->backward ? high - i : low + i;
    const PumpTcp__EventRecord *event = got->events[i]->event;
    must(event && event->event_number == number && same_event(event, stream->events[number].id),
         "%s: %lld is not what was written", stream->name, (long long)number);
  }
  int64_t next = got->next_event_number;
  if (asked->backward)
    must(got->is_end_of_stream ? count == 0 || low == first : next < from && next >= 0,
         "%s: backward from %lld goes on at %lld", stream->name, (long long)from, (long long)next);
  else
    must(got->is_end_of_stream ? from + asked->max_count > newest
                               : next > from && next <= most(high + 1, first),
         "%s: from %lld goes on at %lld", stream->name, (long long)from, (long long)next);
}

static void judge_page(const question *asked, const PumpTcp__ReadStreamEventsCompleted *got) {
  const model_stream *stream = asked->stream;
  PumpTcp__ReadStreamResult wanted = page_result(asked);
  if (!must(got->result == wanted, "%s%s: a page got %d, not %d", asked->is_meta ? "$$" : "",
            stream->name, got->result, wanted))
    return;
  if (wanted != PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS)
    must(got->n_events == 0, "%s: events, and yet none", stream->name);
  else if (asked->is_meta)
    must(got->n_events == 1 && got->events[0]->event->event_number == stream->meta_count - 1,
         "$$%s: %zu events, or not number %lld", stream->name, got->n_events,
         (long long)stream->meta_count - 1);
  else
    judge_events(asked, got);
}

/* ---- $all --------------------------------------------------------------------------------- */

static model_stream *stream_called(pump_bytes name) {
  for (int i = 0; i < STREAMS; i++) {
    if (pump_bytes_is(name, at.streams[i].name)) return &at.streams[i];
  }
  return NULL;
}

/* An event of ours in $all; metadata, tombstones and other rounds are somebody else's. */
static void judge_in_all(const PumpTcp__ResolvedEvent *got, bool is_scan) {
  const PumpTcp__EventRecord *event = got->event;
  model_stream *stream = event ? stream_called(pump_tcp_view(event->event_stream_id)) : NULL;
  if (!stream || event->event_number == INT64_MAX) return;
  int64_t number = event->event_number;
  if (!must(number >= 0 && number < stream->count, "%s: $all has number %lld", stream->name,
            (long long)number))
    return;
  model_event *wanted = &stream->events[number];
  must(same_event(event, wanted->id), "%s: %lld is another in $all", stream->name,
       (long long)number);
  must(wanted->position < 0 || wanted->position == got->commit_position,
       "%s: %lld stands at %lld, not at %lld", stream->name, (long long)number,
       (long long)got->commit_position, (long long)wanted->position);
  if (!is_scan) return;
  must(!wanted->is_seen, "%s: %lld stands in $all twice", stream->name, (long long)number);
  must(number == 0 || stream->events[number - 1].is_seen || !model_can_read(stream, number - 1),
       "%s: %lld stands in $all before the one before", stream->name, (long long)number);
  wanted->is_seen = true;
}

static void judge_all(const question *asked, const PumpTcp__ReadAllEventsCompleted *got) {
  bool may = asked->who == ADMIN;
  must((got->result == PUMP_TCP__READ_ALL_RESULT__READ_ALL_ACCESS_DENIED) == !may,
       "$all: a page got %d", got->result);
  if (!may) return;
  must(got->n_events <= (size_t)asked->max_count, "$all: %zu events", got->n_events);
  must(asked->from < 0 || (got->n_events > 0 && got->events[0]->commit_position >= asked->from),
       "$all does not end with the newest");
  for (size_t i = 0; i < got->n_events; i++) {
    must(i == 0 || got->events[i]->commit_position < got->events[i - 1]->commit_position,
         "$all backward is not in order");
    judge_in_all(got->events[i], false);
  }
}

/* ---- Taking answers ----------------------------------------------------------------------- */

static void judge(question *asked, const pump_tcp_frame *frame) {
  asked->is_open = false;
  if (!must(frame->command == asked->answer, "%s came, not %s",
            pump_tcp_command_name(frame->command), pump_tcp_command_name(asked->answer)))
    return;
  if (asked->kind == SIMPLE || asked->who == WRONG_PASSWORD) return;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  if (!must(message != NULL, "an answer is malformed")) return;
  switch (asked->kind) {
  case WRITE: judge_append(asked, (PumpTcp__WriteEventsCompleted *)(void *)message); break;
  case REMOVE: judge_delete(asked, (PumpTcp__DeleteStreamCompleted *)(void *)message); break;
  case READ_ONE: judge_event(asked, (PumpTcp__ReadEventCompleted *)(void *)message); break;
  case READ_PAGE: judge_page(asked, (PumpTcp__ReadStreamEventsCompleted *)(void *)message); break;
  default: judge_all(asked, (PumpTcp__ReadAllEventsCompleted *)(void *)message);
  }
  pump_tcp_unpack_free(message);
}

static void take_answers(peer *from) {
  pump_tcp_frame frame;
  while (!at.why[0] && from->open_count > 0) {
    if (!must(node_peer_receive(&from->wire, &frame), "an answer did not come")) return;
    uint32_t number;
    memcpy(&number, frame.correlation.bytes, sizeof number);
    question *asked = &at.questions[number % MAX_PENDING];
    if (!must(asked->is_open, "an answer to nothing: %s", pump_tcp_command_name(frame.command)))
      return;
    judge(asked, &frame);
    from->open_count--;
  }
}

/* ---- Transactions ------------------------------------------------------------------------- */

/* Asks admin's question and waits for the answer: its body, to be freed, or NULL. */
static ProtobufCMessage *call(peer *from, uint8_t command, const ProtobufCMessage *body) {
  static const pump_tcp_correlation id = {{2}};
  pump_tcp_frame frame;
  pack(from, command, &id, ADMIN, body);
  ProtobufCMessage *message = NULL;
  if (node_peer_flush(&from->wire) && node_peer_receive(&from->wire, &frame) &&
      frame.command == command + 1)
    message = pump_tcp_unpack(frame.command, frame.payload);
  must(message != NULL, "%s is not answered", pump_tcp_command_name(command));
  return message;
}

static int64_t start_transaction(peer *from, const model_stream *stream, int64_t expected) {
  PumpTcp__TransactionStart body = PUMP_TCP__TRANSACTION_START__INIT;
  body.has_event_stream_id = body.has_expected_version = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream->name));
  body.expected_version = expected;
  ProtobufCMessage *message = call(from, PUMP_TCP_TRANSACTION_START, &body.base);
  if (!message) return -1;
  const PumpTcp__TransactionStartCompleted *got = (const void *)message;
  must(got->result == RESULT(SUCCESS), "%s: a transaction got %d", stream->name, got->result);
  int64_t id = got->transaction_id;
  pump_tcp_unpack_free(message);
  return id;
}

static void write_in_transaction(peer *from, int64_t transaction, uint64_t id) {
  pump_new_event event;
  event_of(id, &event);
  PumpTcp__NewEvent one = PUMP_TCP__NEW_EVENT__INIT, *all[] = {&one};
  one.has_event_id = one.has_event_type = one.has_data_content_type = true;
  one.has_data = one.has_metadata = true;
  one.event_id = pump_tcp_binary((pump_bytes){(const char *)event.id.bytes, 16});
  one.event_type = pump_tcp_binary(event.type);
  one.data_content_type = event.is_json;
  one.data = pump_tcp_binary(event.data);
  one.metadata = pump_tcp_binary(event.metadata);
  PumpTcp__TransactionWrite body = PUMP_TCP__TRANSACTION_WRITE__INIT;
  body.has_transaction_id = true;
  body.transaction_id = transaction;
  body.n_events = 1;
  body.events = all;
  ProtobufCMessage *message = call(from, PUMP_TCP_TRANSACTION_WRITE, &body.base);
  if (!message) return;
  const PumpTcp__TransactionWriteCompleted *got = (const void *)message;
  must(got->result == RESULT(SUCCESS), "a write to a transaction got %d", got->result);
  pump_tcp_unpack_free(message);
}

static void commit_transaction(peer *from, int64_t transaction, const model_stream *stream,
                               const model_written *wanted) {
  PumpTcp__TransactionCommit body = PUMP_TCP__TRANSACTION_COMMIT__INIT;
  body.has_transaction_id = true;
  body.transaction_id = transaction;
  ProtobufCMessage *message = call(from, PUMP_TCP_TRANSACTION_COMMIT, &body.base);
  if (!message) return;
  const PumpTcp__TransactionCommitCompleted *got = (const void *)message;
  must(got->result == wanted->result, "%s: a commit got %d, not %d", stream->name, got->result,
       wanted->result);
  must(wanted->result != RESULT(SUCCESS) ||
           (got->first_event_number == wanted->first && got->last_event_number == wanted->last),
       "%s: a commit got numbers %lld to %lld, not %lld to %lld", stream->name,
       (long long)got->first_event_number, (long long)got->last_event_number,
       (long long)wanted->first, (long long)wanted->last);
  pump_tcp_unpack_free(message);
}

static void step(void);

/* Over several connections, with other requests in between. */
static void transact(void) {
  uint64_t ids[MAX_EVENTS];
  model_stream *stream = &at.streams[dice(STREAMS)];
  int64_t expected = any_version_of_old(stream->count - 1);
  int count = any_ids(stream, ids, &expected);
  if (count == 0) return;
  at.counts[TRANSACTION]++;
  int64_t transaction = start_transaction(&at.peers[dice(PEERS)], stream, expected);
  for (int i = 0; i < count && !at.why[0]; i++) {
    write_in_transaction(&at.peers[dice(PEERS)], transaction, ids[i]);
    if (dice(4) == 0) step();
  }
  if (at.why[0] || dice(10) == 0) return; /* never committed */
  for (int i = 0; i < count; i++) {
    int64_t number = model_number_of(stream, ids[i]);
    if (number >= 0 && !model_can_read(stream, number)) return; /* nobody may know it any more */
  }
  model_written wanted = model_append(stream, expected, ids, count);
  commit_transaction(&at.peers[dice(PEERS)], transaction, stream, &wanted);
}

/* Changes nothing that can be read. */
static void sweep(void) {
  PumpTcp__ScavengeDatabase body = PUMP_TCP__SCAVENGE_DATABASE__INIT;
  ProtobufCMessage *message = call(&at.peers[dice(PEERS)], PUMP_TCP_SCAVENGE_DATABASE, &body.base);
  if (!message) return;
  const PumpTcp__ScavengeDatabaseResponse *got = (const void *)message;
  must(got->result != PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED, "no scavenge starts");
  pump_tcp_unpack_free(message);
}

/* ---- Watching ----------------------------------------------------------------------------- */

static void watch(void) {
  static const pump_tcp_correlation id = {{6}};
  pump_tcp_frame frame;
  PumpTcp__SubscribeToStream body = PUMP_TCP__SUBSCRIBE_TO_STREAM__INIT;
  body.has_event_stream_id = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(""));
  must(node_peer_connect(&at.watcher, at.child.port) && node_peer_identify(&at.watcher, 1),
       "no connection");
  pump_tcp_pack(&at.watcher.out, PUMP_TCP_SUBSCRIBE_TO_STREAM, &id, pump_bytes_of("admin"),
                pump_bytes_of("changeit"), &body.base);
  ProtobufCMessage *message = NULL;
  if (node_peer_flush(&at.watcher) && node_peer_receive(&at.watcher, &frame) &&
      frame.command == PUMP_TCP_SUBSCRIPTION_CONFIRMATION)
    message = pump_tcp_unpack(frame.command, frame.payload);
  if (!must(message != NULL, "no subscription")) return;
  at.watch_from =
      ((const PumpTcp__SubscriptionConfirmation *)(const void *)message)->last_commit_position;
  at.watch_count = at.watch_judged = 0;
  pump_tcp_unpack_free(message);
}

static void take_watched(const pump_tcp_frame *frame) {
  ProtobufCMessage *message = frame->command == PUMP_TCP_STREAM_EVENT_APPEARED
                                  ? pump_tcp_unpack(frame->command, frame->payload)
                                  : NULL;
  if (!must(message != NULL, "a subscription got %s", pump_tcp_command_name(frame->command)))
    return;
  const PumpTcp__ResolvedEvent *event =
      ((const PumpTcp__StreamEventAppeared *)(const void *)message)->event;
  if (at.watch_count == at.watch_room) {
    at.watch_room = 2 * at.watch_room + 1000;
    at.watched = realloc(at.watched, at.watch_room * sizeof *at.watched);
    if (!at.watched) abort();
  }
  at.watched[at.watch_count++] = event->commit_position;
  judge_in_all(event, false);
  pump_tcp_unpack_free(message);
}

/* Takes in some of what the watcher was sent, or all of it up to there. */
static void watch_until(int64_t position, int most_frames) {
  pump_tcp_frame frame;
  while (!at.why[0] && most_frames-- > 0) {
    int64_t last = at.watch_count > 0 ? at.watched[at.watch_count - 1] : at.watch_from;
    if (last >= position) return;
    if (!must(node_peer_receive(&at.watcher, &frame), "%lld was not sent to the subscription",
              (long long)position))
      return;
    take_watched(&frame);
  }
}

/* An event of $all: the watcher got it too, at its turn. What it got beside was there, and has
 * been swept away since. */
static void judge_watched(int64_t position) {
  if (position <= at.watch_from) return;
  while (!at.why[0] &&
         (at.watch_judged == at.watch_count || at.watched[at.watch_judged] < position)) {
    if (at.watch_judged == at.watch_count)
      watch_until(position, 1);
    else
      at.watch_judged++;
  }
  if (at.why[0]) return;
  must(at.watched[at.watch_judged] == position, "$all goes on at %lld, its subscription at %lld",
       (long long)position, (long long)at.watched[at.watch_judged]);
  at.watch_judged++;
}

/* ---- Steps -------------------------------------------------------------------------------- */

static void ask_writing(peer *from, model_stream *stream) {
  int chance = dice(20);
  if (chance == 0)
    ask_delete(from, stream);
  else if (chance < 3)
    ask_metadata(from, stream);
  else
    ask_append(from, stream);
}

static void ask_reading(peer *from, model_stream *stream) {
  int chance = dice(10);
  if (chance == 0)
    ask_nonsense(from);
  else if (chance < 2)
    ask_all(from);
  else if (chance < 5)
    ask_event(from, stream);
  else
    ask_any_page(from, stream);
}

static void step(void) {
  peer *from = &at.peers[dice(PEERS)];
  model_stream *stream = &at.streams[dice(STREAMS)];
  if (dice(2))
    ask_writing(from, stream);
  else
    ask_reading(from, stream);
  must(node_peer_flush(&from->wire), "the node ended a connection");
  take_answers(from);
}

/* All of them at once. A stream is one peer's here and reads come behind writes, so that it is
 * known what they find. The first half of the bytes goes out before the second of anybody. */
static void burst(void) {
  for (int i = 0; i < PEERS; i++) {
    peer *from = &at.peers[i];
    for (int writes = dice(BURST); writes > 0; writes--)
      ask_writing(from, &at.streams[i + PEERS * dice(STREAMS / PEERS)]);
    for (int reads = dice(4); reads > 0; reads--)
      ask_reading(from, &at.streams[i + PEERS * dice(STREAMS / PEERS)]);
  }
  size_t halves[PEERS];
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < PEERS; i++) {
      pump_buffer *out = &at.peers[i].wire.out;
      size_t start = half == 0 ? 0 : halves[i];
      halves[i] = half == 0 ? (size_t)dice((int)out->size + 1) : out->size;
      must(node_peer_send_bytes(&at.peers[i].wire, out->data + start, halves[i] - start),
           "the node ended a connection");
    }
  }
  for (int i = 0; i < PEERS; i++) {
    pump_buffer_clear(&at.peers[i].wire.out);
    take_answers(&at.peers[i]);
  }
}

/* ---- Rounds ------------------------------------------------------------------------------- */

static void start(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = at.file;
  options.listen = "127.0.0.1:0";
  at.child = node_child_start(&options);
  must(at.child.port != 0, "the node does not start");
  for (int i = 0; i < PEERS; i++)
    must(node_peer_connect(&at.peers[i].wire, at.child.port) &&
             node_peer_identify(&at.peers[i].wire, 1),
         "no connection");
  watch();
}

static void stop(bool kill) {
  long megabytes = node_child_megabytes(&at.child);
  if (megabytes > at.megabytes) at.megabytes = megabytes;
  for (int i = 0; i < PEERS; i++) {
    node_peer_close(&at.peers[i].wire);
    at.peers[i].open_count = 0;
  }
  node_peer_close(&at.watcher);
  if (kill)
    node_child_kill(&at.child);
  else
    must(node_child_stop(&at.child), "the node did not end in order");
}

static void read_everything(void) {
  peer *from = &at.peers[0];
  for (int i = 0; i < STREAMS; i++) {
    for (int64_t number = 0; number <= at.streams[i].count; number += PUMP_MAX_PAGE)
      ask_page(from, &at.streams[i], ADMIN, number, PUMP_MAX_PAGE, false, false);
    ask_page(from, &at.streams[i], ADMIN, PUMP_END, 1, true, true);
    must(node_peer_flush(&from->wire), "the node ended a connection");
    take_answers(from);
  }
}

/* Goes on in $all; false at its end. */
static bool scan_page(int64_t *before) {
  PumpTcp__ReadAllEvents body = PUMP_TCP__READ_ALL_EVENTS__INIT;
  body.has_commit_position = body.has_prepare_position = body.has_max_count = true;
  body.commit_position = body.prepare_position = at.scanned;
  body.max_count = 200;
  ProtobufCMessage *message = call(&at.peers[0], PUMP_TCP_READ_ALL_FORWARD, &body.base);
  if (!message) return false;
  const PumpTcp__ReadAllEventsCompleted *got = (const void *)message;
  for (size_t i = 0; i < got->n_events; i++) {
    must(got->events[i]->commit_position > *before, "$all is not in order");
    *before = got->events[i]->commit_position;
    judge_in_all(got->events[i], true);
    judge_watched(*before);
  }
  at.scanned = got->next_commit_position;
  bool has_more = got->n_events > 0;
  pump_tcp_unpack_free(message);
  return has_more;
}

static void scan(void) {
  int64_t before = at.scanned - 1;
  while (!at.why[0] && scan_page(&before))
    continue;
  for (int i = 0; i < STREAMS; i++) {
    const model_stream *stream = &at.streams[i];
    for (int64_t number = 0; number < stream->count; number++)
      must(stream->events[number].is_seen || !model_can_read(stream, number),
           "%s: %lld does not stand in $all", stream->name, (long long)number);
  }
}

static void run_round(int round) {
  for (int i = 0; i < STREAMS; i++) {
    free(at.streams[i].events);
    at.streams[i] = (model_stream){.metadata = model_no_metadata};
    snprintf(at.streams[i].name, sizeof at.streams[i].name, "round %d, %d", round, i);
  }
  for (int i = 0; i < STEPS && !at.why[0]; i++) {
    int chance = dice(25);
    if (chance < 5)
      burst();
    else if (chance == 5)
      transact();
    else if (chance == 6 && dice(4) == 0)
      sweep();
    else
      step();
    watch_until(at.newest, 10 * dice(20)); /* it lags behind at times */
    if (dice(STEPS / 2) > 0 || at.why[0]) continue;
    stop(dice(2));
    start();
    at.restarts++;
    read_everything();
  }
  if (!at.why[0]) read_everything();
  if (!at.why[0]) scan();
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  int seconds = argc > 2 ? atoi(argv[2]) : 4, round = 0;
  const char *tmp = getenv("TMPDIR");
  char folder[160], file[200], command[200];
  snprintf(folder, sizeof folder, "%s/pump-model-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  snprintf(file, sizeof file, "%s/store.db", folder);
  at.file = file;
  at.random = mix(seed);
  at.newest = -1;
  start();
  time_t end = time(NULL) + seconds;
  do
    run_round(round++);
  while (!at.why[0] && time(NULL) < end);
  unsigned long questions = 0;
  for (int i = 0; i < KINDS; i++)
    questions += at.counts[i];
  tap_ok(!at.why[0], "seed %llu: %lu requests in %d rounds are answered as the model says%s%s",
         (unsigned long long)seed, questions, round, at.why[0] ? ": " : "", at.why);
  stop(false);
  tap_ok(at.restarts > 0 || seconds < 3, "also after %u ends and kills", at.restarts);
  tap_ok(at.megabytes < MAX_MEGABYTES * (slowness() > 1 ? 10 : 1),
         "%llu MB of events went through %ld MB of memory", (unsigned long long)(at.bytes >> 20),
         at.megabytes);
  printf("# %u writes, %u deletions, %u transactions, %u events and %u pages read, %u pages of "
         "$all, %u others\n",
         at.counts[WRITE], at.counts[REMOVE], at.counts[TRANSACTION], at.counts[READ_ONE],
         at.counts[READ_PAGE], at.counts[READ_ALL], at.counts[SIMPLE]);
  for (int i = 0; i < STREAMS; i++)
    free(at.streams[i].events);
  free(at.watched);
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) != 0 || tap_done();
}

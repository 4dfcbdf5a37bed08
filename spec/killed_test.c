/* Writers who know what comes of what they ask, and in which order, while the node is killed:
 * `killed_test [KILLS [SEED]]`. Each sends appends, transactions and deletions without waiting, with
 * the version that the ones before lead to. Whenever the node has died, what it kept of each of them
 * is where some of these had happened and the others had not: all that were answered, one after the
 * other, and none by half. */
#include "tap.h"

#include <time.h>

#include "base/guid.h"
#include "group_peer.h"
#include "node/store.h"

enum { WRITERS = 6, WINDOW = 20, MAX_ACTS = 40000, MAX_EVENTS = 4 };

typedef enum kind { APPEND, TRANSACTION, HIDE, BURY } kind;

/* What is asked for, and how the writer's stream stands when it is done. */
typedef struct act {
  kind kind;
  int count;
  int64_t last;  /* number of its last event */
  int64_t first; /* that can be read; last + 1: it is deleted */
} act;

typedef struct writer {
  node_peer peer;
  char stream[16];
  act acts[MAX_ACTS];
  int sent;
  int answered;
  bool waits; /* for the number of a transaction */
} writer;

static writer writers[WRITERS];
static char file[200];
static uint64_t seed = 1;
static char wrong[200];

static unsigned dice(unsigned sides) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % sides;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

__attribute__((format(printf, 2, 3))) static bool must(bool holds, const char *format, ...) {
  va_list arguments;
  if (holds || wrong[0]) return holds;
  va_start(arguments, format);
  vsnprintf(wrong, sizeof wrong, format, arguments);
  va_end(arguments);
  return false;
}

/* ---- Asking ------------------------------------------------------------------------------- */

static const act *before(const writer *of, int act_number) {
  static const act nothing = {.last = -1};
  return act_number > 0 ? &of->acts[act_number - 1] : &nothing;
}

static pump_guid guid_of(const writer *of, int64_t number) {
  pump_guid id = {{(uint8_t)(of - writers), 1}};
  memcpy(id.bytes + 8, &number, sizeof number);
  return id;
}

static const char *buried(const writer *of, int act_number) {
  static char name[40];
  snprintf(name, sizeof name, "buried %s %d", of->stream, act_number);
  return name;
}

static void pack(writer *by, int act_number, uint8_t command, const ProtobufCMessage *message) {
  pump_tcp_correlation id = id_of(9, (unsigned)act_number);
  pump_tcp_pack(&by->peer.out, command, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                message);
}

static void put_append(writer *by, int act_number) {
  static const char data[3000];
  const act *it = &by->acts[act_number];
  pump_tcp_correlation id = id_of(9, (unsigned)act_number);
  pump_new_event events[MAX_EVENTS];
  int64_t version = before(by, act_number)->last;
  for (int i = 0; i < it->count; i++)
    events[i] = (pump_new_event){.id = guid_of(by, version + 1 + i),
                                 .type = pump_bytes_of("t"),
                                 .data = {data, (size_t)(act_number * 37) % sizeof data}};
  pump_tcp_encode_write(&by->peer.out, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                        pump_bytes_of(by->stream), version, false, events, (size_t)it->count);
}

static void put_start(writer *by, int act_number) {
  PumpTcp__TransactionStart body = PUMP_TCP__TRANSACTION_START__INIT;
  body.has_event_stream_id = body.has_expected_version = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(by->stream));
  body.expected_version = before(by, act_number)->last;
  pack(by, act_number, PUMP_TCP_TRANSACTION_START, &body.base);
  by->waits = true;
}

static void put_rest(writer *by, int act_number, int64_t transaction) {
  for (int i = 0; i < by->acts[act_number].count; i++) {
    PumpTcp__TransactionWrite body = PUMP_TCP__TRANSACTION_WRITE__INIT;
    PumpTcp__NewEvent event = PUMP_TCP__NEW_EVENT__INIT, *events[] = {&event};
    pump_guid id = guid_of(by, before(by, act_number)->last + 1 + i);
    uint8_t bytes[16];
    pump_guid_to_net(&id, bytes);
    event.has_event_id = event.has_event_type = event.has_data = true;
    event.has_data_content_type = event.has_metadata_content_type = true;
    event.event_id = (ProtobufCBinaryData){sizeof bytes, bytes};
    event.event_type = pump_tcp_binary(pump_bytes_of("t"));
    body.has_transaction_id = body.has_require_leader = true;
    body.transaction_id = transaction;
    body.n_events = 1;
    body.events = events;
    pack(by, act_number, PUMP_TCP_TRANSACTION_WRITE, &body.base);
  }
  PumpTcp__TransactionCommit body = PUMP_TCP__TRANSACTION_COMMIT__INIT;
  body.has_transaction_id = true;
  body.transaction_id = transaction;
  pack(by, act_number, PUMP_TCP_TRANSACTION_COMMIT, &body.base);
  by->waits = false;
}

static void put_delete(writer *by, int act_number) {
  PumpTcp__DeleteStream body = PUMP_TCP__DELETE_STREAM__INIT;
  bool is_hard = by->acts[act_number].kind == BURY;
  body.has_event_stream_id = body.has_expected_version = body.has_hard_delete = true;
  body.event_stream_id =
      pump_tcp_binary(pump_bytes_of(is_hard ? buried(by, act_number) : by->stream));
  body.expected_version = is_hard ? PUMP_ANY : before(by, act_number)->last;
  body.hard_delete = is_hard;
  pack(by, act_number, PUMP_TCP_DELETE_STREAM, &body.base);
}

static kind choose(const act *last) {
  unsigned number = dice(20);
  if (number < 14) return APPEND;
  if (number < 17) return TRANSACTION;
  return number < 19 && last->first <= last->last ? HIDE : BURY;
}

static void ask(writer *by) {
  while (!by->waits && by->sent - by->answered < WINDOW && by->sent < MAX_ACTS) {
    act next = *before(by, by->sent);
    next.kind = choose(&next);
    next.count = next.kind <= TRANSACTION ? 1 + (int)dice(MAX_EVENTS) : 0;
    next.last += next.count;
    if (next.kind == HIDE) next.first = next.last + 1;
    by->acts[by->sent] = next;
    if (next.kind == APPEND)
      put_append(by, by->sent);
    else if (next.kind == TRANSACTION)
      put_start(by, by->sent);
    else
      put_delete(by, by->sent);
    by->sent++;
  }
  node_peer_flush(&by->peer);
}

/* ---- Hearing ------------------------------------------------------------------------------ */

static void hear_frame(writer *by, const pump_tcp_frame *frame) {
  unsigned number;
  memcpy(&number, frame->correlation.bytes, sizeof number);
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  const PumpTcp__TransactionStartCompleted *step = (const void *)message;
  const PumpTcp__WriteEventsCompleted *done = (const void *)message;
  bool is_step = frame->command == PUMP_TCP_TRANSACTION_START_COMPLETED ||
                 frame->command == PUMP_TCP_TRANSACTION_WRITE_COMPLETED;
  bool is_commit = frame->command == PUMP_TCP_TRANSACTION_COMMIT_COMPLETED;
  int result = !message    ? -1
               : is_step   ? (int)step->result
               : is_commit ? (int)((const PumpTcp__TransactionCommitCompleted *)done)->result
                           : (int)done->result;
  must(result == 0, "%s: act %u got %02x, %d", by->stream, number, frame->command, result);
  if (frame->command == PUMP_TCP_TRANSACTION_START_COMPLETED && result == 0)
    put_rest(by, (int)number, step->transaction_id);
  if (!is_step && must((int)number == by->answered, "%s: act %u answered as %d", by->stream, number,
                       by->answered))
    by->answered++;
  if (message) pump_tcp_unpack_free(message);
}

/* What has come; false at the end of the connection. */
static bool hear(writer *by, int flags) {
  pump_tcp_reader *reader = &by->peer.reader;
  pump_tcp_frame frame;
  uint8_t *to;
  size_t room;
  if (pump_tcp_reader_space(reader, &to, &room) != 0) return false;
  ssize_t got = recv(by->peer.fd, to, room, flags);
  if (got <= 0) return got < 0 && errno == EAGAIN && flags;
  pump_tcp_reader_filled(reader, (size_t)got);
  while (pump_tcp_reader_next(reader, &frame) == 1) {
    if (frame.command != PUMP_TCP_HEARTBEAT_REQUEST)
      hear_frame(by, &frame);
    else
      node_peer_send(&by->peer, PUMP_TCP_HEARTBEAT_RESPONSE, &frame.correlation, NULL, NULL,
                     no_bytes);
  }
  return true;
}

/* ---- Looking ------------------------------------------------------------------------------ */

typedef struct reading {
  const writer *of;
  int64_t first, next; /* -1: nothing yet */
} reading;

static bool see(void *ud, const pump_event *event) {
  reading *at = ud;
  int64_t number = event->record->number;
  pump_guid id = guid_of(at->of, number);
  if (at->first < 0) at->first = at->next = number;
  must(number == at->next, "%s: %lld comes after %lld", at->of->stream, (long long)number,
       (long long)at->next - 1);
  must(memcmp(&id, &event->record->id, sizeof id) == 0, "%s: %lld is another event", at->of->stream,
       (long long)number);
  at->next = number + 1;
  return true;
}

/* Which numbers can be read, all of them in their order. */
static void read_stream_of(pump_store *store, const writer *of, reading *at) {
  pump_read read = {.max_count = 500};
  pump_store_page page = {.is_end = false};
  *at = (reading){of, -1, -1};
  for (; !page.is_end; read.from = page.next)
    if (pump_store_read_stream(store, pump_bytes_of(of->stream), &read, 1, see, at, &page) != 0)
      must(false, "%s: it cannot be read", of->stream);
}

static bool is_buried(pump_store *store, const writer *of, int number) {
  return pump_store_last_number(store, pump_bytes_of(buried(of, number))) == PUMP_STORE_TOMBSTONE;
}

/* Whether so many acts have happened, and no more. */
static bool is_after(pump_store *store, const reading *seen, int64_t last, int count) {
  const writer *of = seen->of;
  const act *then = before(of, count);
  if (last != then->last || (seen->first >= 0 && seen->next != last + 1)) return false;
  if (then->first > then->last ? seen->first >= 0 : seen->first != then->first) return false;
  bool is_next = count < of->sent && of->acts[count].kind == BURY && is_buried(store, of, count);
  return !is_next && (count == 0 || then->kind != BURY || is_buried(store, of, count - 1));
}

/* Goes on from where the node is. */
static void look_at(pump_store *store, writer *of) {
  reading seen;
  int64_t last = pump_store_last_number(store, pump_bytes_of(of->stream));
  read_stream_of(store, of, &seen);
  int count = of->answered;
  while (count <= of->sent && !is_after(store, &seen, last, count))
    count++;
  if (!must(count <= of->sent, "%s: %d acts of %d were answered, and it has %lld to %lld of %lld",
            of->stream, of->answered, of->sent, (long long)seen.first, (long long)seen.next - 1,
            (long long)last))
    return;
  for (int i = 0; i < of->sent; i++) {
    if (of->acts[i].kind == BURY)
      must(is_buried(store, of, i) == (i < count), "%s: act %d of %d", of->stream, i, count);
  }
  of->sent = of->answered = count;
  of->waits = false;
}

static void look(void) {
  pump_store *store;
  char error[300] = "";
  int code = pump_store_open(&store, file, true, error, sizeof error);
  if (!must(code == 0, "%s", error)) return;
  for (int i = 0; i < WRITERS; i++)
    look_at(store, &writers[i]);
  pump_store_close(store);
}

/* ---- Killing ------------------------------------------------------------------------------ */

static void run(double seconds) {
  node_child node = start(file, NULL);
  if (!must(node.port != 0, "the node does not start")) return;
  for (int i = 0; i < WRITERS; i++)
    node_peer_connect(&writers[i].peer, node.port);
  for (double end = now() + seconds; now() < end && !wrong[0]; usleep(dice(300))) {
    for (int i = 0; i < WRITERS; i++) {
      ask(&writers[i]);
      hear(&writers[i], MSG_DONTWAIT);
    }
  }
  node_child_kill(&node);
  for (int i = 0; i < WRITERS; i++) {
    while (hear(&writers[i], 0))
      continue;
    node_peer_close(&writers[i].peer);
  }
}

int main(int argc, char **argv) {
  int kills = argc > 1 ? atoi(argv[1]) : 20, sum = 0;
  const char *tmp = getenv("TMPDIR");
  char folder[160], command[200];
  if (argc > 2) seed = strtoull(argv[2], NULL, 10);
  snprintf(folder, sizeof folder, "%s/pump-killed-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  snprintf(file, sizeof file, "%s/store.db", folder);
  for (int i = 0; i < WRITERS; i++)
    snprintf(writers[i].stream, sizeof writers[i].stream, "writer %d", i);
  for (int i = 0; i < kills && !wrong[0]; i++) {
    run((1 + (int)dice(100)) * slowness() / 1000.0);
    look();
  }
  for (int i = 0; i < WRITERS; i++)
    sum += writers[i].sent;
  tap_ok(!wrong[0] && sum > 0,
         "killed %d times, a node has %d acts of %d writers in their order%s%s", kills, sum,
         WRITERS, wrong[0] ? ": " : "", wrong);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command) != 0 || tap_done();
}

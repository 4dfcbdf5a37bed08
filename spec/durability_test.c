/* What the node keeps when it is killed, or its disk is full, while several peers write at once:
 * `durability_test [KILLS]`, 20 without arguments. What was answered is there, once; what was
 * refused is not; and every write is there as a whole or not at all. */
#include "tap.h"

#include <sqlite3.h>
#include <sys/resource.h>
#include <time.h>

#include "node_child.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { PEERS = 8, WINDOW = 12, MAX_WRITES = 400000, MAX_EVENTS = 4, STREAMS = 5 };

/* A write of one event or more, known by its number. */
typedef struct write_request {
  enum { UNSENT, SENT, ANSWERED, REFUSED } state;
  uint8_t stands[MAX_EVENTS]; /* how often its events are in the store */
} write_request;

static struct {
  char folder[128];
  char file[160];
  node_child child;
  node_peer peers[PEERS];
  int in_flight[PEERS];
  write_request writes[MAX_WRITES];
  unsigned sent_again; /* writes of before the last end are sent again up to here */
  unsigned next;       /* all writes from here on are new */
  unsigned in_flight_at_end;
  unsigned answered, refused;
  unsigned recognised; /* were sent again, and had been stored */
  unsigned odd;        /* answers that can't be */
  uint64_t random;
} at;

static unsigned dice(unsigned sides) {
  at.random = at.random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(at.random >> 33) % sides;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static unsigned count_of(unsigned number) {
  return 1 + number % MAX_EVENTS;
}

static void put_write(pump_buffer *out, unsigned number) {
  static char data[100000];
  static const char *const streams[STREAMS] = {"a", "b", "c", "d", "e"};
  pump_new_event events[MAX_EVENTS];
  pump_tcp_correlation id = {{0}};
  memset(data, 'x', sizeof data);
  memcpy(id.bytes, &number, sizeof number);
  for (unsigned i = 0; i < count_of(number); i++) {
    events[i] = (pump_new_event){.type = pump_bytes_of("t")};
    events[i].data = (pump_bytes){data, number % 97 == 0 ? sizeof data : 20 + number % 500};
    events[i].id.bytes[7] = (uint8_t)(i + 1);
    memcpy(events[i].id.bytes + 8, &number, sizeof number); /* the same on the wire */
  }
  pump_tcp_encode_write(out, &id, (pump_bytes){0}, (pump_bytes){0},
                        pump_bytes_of(streams[number % STREAMS]), PUMP_ANY, false, events,
                        count_of(number));
}

/* Old ones that were never answered go first, as a client would send them again. */
static bool next_write(unsigned *number) {
  while (at.sent_again < at.next && at.writes[at.sent_again].state != SENT)
    at.sent_again++;
  if (at.sent_again < at.next) {
    *number = at.sent_again++;
    return true;
  }
  if (at.next == MAX_WRITES) return false;
  *number = at.sent_again = at.next;
  at.sent_again = ++at.next;
  return true;
}

static void fill(int peer) {
  unsigned number;
  while (at.in_flight[peer] < WINDOW && next_write(&number)) {
    put_write(&at.peers[peer].out, number);
    at.writes[number].state = SENT;
    at.in_flight[peer]++;
  }
  node_peer_flush(&at.peers[peer]);
}

static void take(int peer, const pump_tcp_frame *frame) {
  unsigned number;
  memcpy(&number, frame->correlation.bytes, sizeof number);
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  const PumpTcp__WriteEventsCompleted *written = (PumpTcp__WriteEventsCompleted *)(void *)message;
  bool is_good = frame->command == PUMP_TCP_WRITE_EVENTS_COMPLETED && written &&
                 written->result == PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS;
  bool is_refused = frame->command == PUMP_TCP_BAD_REQUEST &&
                    pump_bytes_starts(frame->payload, "the store could not write: ");
  at.answered += is_good;
  at.refused += is_refused;
  at.recognised += is_good && written->commit_position < 0;
  if (message) pump_tcp_unpack_free(message);
  if ((!is_good && !is_refused) || number >= at.next || at.writes[number].state != SENT) {
    at.odd++;
    return;
  }
  at.writes[number].state = is_good ? ANSWERED : REFUSED;
  at.in_flight[peer]--;
}

/* What has come from a peer; false at the connection's end. */
static bool drain(int peer, int flags) {
  pump_tcp_reader *reader = &at.peers[peer].reader;
  uint8_t *to;
  size_t room;
  if (pump_tcp_reader_space(reader, &to, &room) != 0) return false;
  ssize_t got = recv(at.peers[peer].fd, to, room, flags);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR) && flags;
  pump_tcp_reader_filled(reader, (size_t)got);
  pump_tcp_frame frame;
  while (pump_tcp_reader_next(reader, &frame) == 1) {
    if (frame.command == PUMP_TCP_HEARTBEAT_REQUEST)
      node_peer_send(&at.peers[peer], PUMP_TCP_HEARTBEAT_RESPONSE, &frame.correlation, NULL, NULL,
                     (pump_bytes){0});
    else
      take(peer, &frame);
  }
  return true;
}

/* Every peer writes, without waiting for answers, until then. */
static void write_until(int64_t end) {
  struct pollfd polls[PEERS];
  while (now() < end) {
    for (int i = 0; i < PEERS; i++) {
      fill(i);
      polls[i] = (struct pollfd){.fd = at.peers[i].fd, .events = POLLIN};
    }
    poll(polls, PEERS, 1);
    for (int i = 0; i < PEERS; i++) {
      if (polls[i].revents) drain(i, MSG_DONTWAIT);
    }
  }
}

/* And on, until one of the counts has grown; false: it never did. */
static bool write_until_grown(const unsigned *count) {
  unsigned before = *count;
  for (int64_t patience = now() + PEER_PATIENCE * 1000 * slowness();
       *count == before && now() < patience;)
    write_until(now() + 5);
  return *count > before;
}

static bool start(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = at.file;
  options.listen = "127.0.0.1:0";
  at.child = node_child_start(&options);
  at.sent_again = 0;
  bool is_good = at.child.port != 0;
  for (int i = 0; i < PEERS; i++) {
    at.in_flight[i] = 0;
    is_good = node_peer_connect(&at.peers[i], at.child.port) && is_good;
  }
  return is_good;
}

/* Takes in what had been answered. */
static void end(void) {
  for (int i = 0; i < PEERS; i++) {
    while (drain(i, 0))
      continue;
    at.in_flight_at_end += (unsigned)at.in_flight[i];
    node_peer_close(&at.peers[i]);
  }
}

/* ---- Looking ------------------------------------------------------------------------------ */

/* Counts the events of a page of $all, but for the node's own; where the next one starts, or -1 at
 * the end. */
static int64_t look_at(const PumpTcp__ReadAllEventsCompleted *page) {
  for (size_t i = 0; i < page->n_events; i++) {
    const PumpTcp__EventRecord *event = page->events[i]->event;
    if (pump_bytes_starts(pump_tcp_view(event->event_stream_id), "$")) continue;
    unsigned number = UINT32_MAX;
    if (event->event_id.len == 16) memcpy(&number, event->event_id.data + 8, sizeof number);
    unsigned part = number < at.next ? event->event_id.data[6] : 0; /* swapped on the wire */
    if (part >= 1 && part <= count_of(number))
      at.writes[number].stands[part - 1]++;
    else
      at.odd++;
  }
  return page->n_events > 0 ? page->next_commit_position : -1;
}

static bool look(void) {
  static const pump_tcp_correlation id = {{1}};
  node_peer *peer = &at.peers[0];
  for (int64_t from = 0; from >= 0;) {
    PumpTcp__ReadAllEvents body = PUMP_TCP__READ_ALL_EVENTS__INIT;
    body.has_commit_position = body.has_prepare_position = body.has_max_count = true;
    body.commit_position = body.prepare_position = from;
    body.max_count = 1000;
    pump_tcp_pack(&peer->out, PUMP_TCP_READ_ALL_FORWARD, &id, pump_bytes_of("admin"),
                  pump_bytes_of("changeit"), &body.base);
    pump_tcp_frame frame;
    if (!node_peer_flush(peer) || !node_peer_receive(peer, &frame)) return false;
    ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
    if (!message || frame.command != PUMP_TCP_READ_ALL_FORWARD_COMPLETED) return false;
    from = look_at((PumpTcp__ReadAllEventsCompleted *)(void *)message);
    pump_tcp_unpack_free(message);
  }
  return true;
}

static bool is_sound(const char *file) {
  sqlite3 *db;
  sqlite3_stmt *rows = NULL;
  bool is = sqlite3_open(file, &db) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &rows, NULL) == SQLITE_OK &&
            sqlite3_step(rows) == SQLITE_ROW &&
            strcmp((const char *)sqlite3_column_text(rows, 0), "ok") == 0;
  sqlite3_finalize(rows);
  sqlite3_close(db);
  return is;
}

/* Of a copy: the node is to recover its file itself. */
static bool is_copy_sound(void) {
  char command[1000], copy[200];
  snprintf(copy, sizeof copy, "%s/copy.db", at.folder);
  snprintf(command, sizeof command, "rm -f '%s'*; cp '%s' '%s'; cp '%s-wal' '%s-wal' 2>/dev/null",
           copy, at.file, copy, at.file, copy);
  if (system(command) < 0) return false;
  return is_sound(copy);
}

/* ---- The tests ---------------------------------------------------------------------------- */

static void check_all(const char *after) {
  unsigned answered = 0, refused = 0, lost = 0, twice = 0, torn = 0, undead = 0;
  tap_ok(start() && look(), "%s: the node starts, and all of it can be read", after);
  tap_ok(at.odd == 0, "every answer is to a write, and every event of one (%u are not)", at.odd);
  for (unsigned i = 0; i < at.next; i++) {
    const write_request *written = &at.writes[i];
    unsigned parts = 0;
    for (unsigned k = 0; k < count_of(i); k++) {
      parts += written->stands[k] > 0;
      twice += written->stands[k] > 1;
    }
    answered += written->state == ANSWERED;
    refused += written->state == REFUSED;
    lost += written->state == ANSWERED && parts == 0;
    torn += parts > 0 && parts < count_of(i);
    undead += written->state == REFUSED && parts > 0;
  }
  tap_ok(answered > 0 && lost == 0, "%u of %u writes were answered, and none is lost (%u)",
         answered, at.next, lost);
  tap_ok(twice == 0, "no event is there twice (%u): of %u in flight at an end %u were stored",
         twice, at.in_flight_at_end, at.recognised);
  tap_ok(torn == 0, "no write is there by half (%u)", torn);
  tap_ok(undead == 0, "nothing is there of %u that were refused (%u)", refused, undead);
  for (int i = 0; i < PEERS; i++)
    node_peer_close(&at.peers[i]);
  tap_ok(node_child_stop(&at.child), "the node ends in order");
  tap_ok(is_sound(at.file), "and SQLite finds its file sound");
}

static void begin(const char *name) {
  snprintf(at.file, sizeof at.file, "%s/%s", at.folder, name);
  memset(at.writes, 0, sizeof at.writes);
  at.next = at.sent_again = at.in_flight_at_end = at.answered = at.refused = at.recognised =
      at.odd = 0;
}

static void test_killing(int kills) {
  int started = 0, unsound = 0;
  begin("kill.db");
  for (int i = 0; i < kills; i++) {
    started += start();
    if (i % 10 != 9) { /* now and then before it did anything */
      write_until_grown(&at.answered);
      write_until(now() + slowness() * (int)dice(60));
    }
    node_child_kill(&at.child);
    end();
    if (i % 10 == 0) unsound += !is_copy_sound();
  }
  tap_ok(started == kills, "a node that was killed %d times starts again each time (%d)", kills,
         started);
  tap_ok(unsound == 0, "what it leaves behind is sound");
  check_all("killed");
}

static unsigned count_answered(unsigned first) {
  unsigned count = 0;
  for (unsigned i = first; i < at.next; i++)
    count += at.writes[i].state == ANSWERED;
  return count;
}

static void limit_files(rlim_t size) {
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = size;
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, size == RLIM_INFINITY ? SIG_DFL : SIG_IGN);
}

/* Files that can't grow over a limit are a disk that is full. Each round has a little more. */
static void test_full_disk(int rounds) {
  int started = 0, full = 0, unsound = 0;
  begin("full.db");
  for (int i = 0; i < rounds; i++) {
    limit_files((rlim_t)(2 + i) << 20);
    started += start();
    limit_files(RLIM_INFINITY);
    full += write_until_grown(&at.refused);
    write_until(now() + slowness() * (int)dice(100));
    node_child_kill(&at.child);
    end();
    unsound += !is_copy_sound();
  }
  tap_ok(started == rounds, "a node on a disk that is full starts, killed %d times (%d)", rounds,
         started);
  tap_ok(full == rounds, "and refuses writes (%d times)", full);
  tap_ok(unsound == 0, "what it leaves behind is sound");
  bool is_good = start();
  unsigned first = at.next;
  write_until(now() + 100 * slowness());
  while (count_answered(first) == 0 && write_until_grown(&at.answered))
    continue;
  node_child_kill(&at.child);
  end();
  unsigned answered = count_answered(first);
  tap_ok(is_good && answered > 0, "where there is room again it goes on (%u writes)", answered);
  check_all("full, and killed");
}

int main(int argc, char **argv) {
  int kills = argc > 1 ? atoi(argv[1]) : 20;
  const char *tmp = getenv("TMPDIR");
  snprintf(at.folder, sizeof at.folder, "%s/pump-durability-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(at.folder)) return 1;
  at.random = (uint64_t)kills;
  test_killing(kills);
  test_full_disk(kills / 5);
  char command[160];
  snprintf(command, sizeof command, "rm -r %s", at.folder);
  return system(command) != 0 || tap_done();
}

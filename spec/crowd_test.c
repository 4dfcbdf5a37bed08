/* A thousand idle peers and two hundred busy ones at once on one node, and among them some that
 * send nothing, or half a frame, or never read: those are cut loose, and cost nobody else. */
#include "tap.h"

#include <sys/resource.h>
#include <time.h>

#include "node_child.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { IDLE_PEERS = 1000, BUSY_PEERS = 200, BAD_PEERS = 20, MILLISECONDS = 7000 };
enum { CUT_EARLIEST = 2500, CUT_LATEST = 5500, SHARE = 20, DEAF_PAGES = 60 };

#ifdef __SANITIZE_ADDRESS__
#define MAX_MEGABYTES 900 /* what is freed is kept for a while */
#define MAX_LATENCY   6000
#else
#define MAX_MEGABYTES 250
#define MAX_LATENCY   2000 /* ms */
#endif

typedef enum role {
  IDLE,     /* answers heartbeats */
  BUSY,     /* asks, waits for the answer, and asks again */
  SILENT,   /* sends nothing, and reads */
  HALFWAY,  /* sends half a frame, and then nothing */
  DEAF,     /* asks for much and reads nothing */
  TALKATIVE /* the same, but goes on sending */
} role;

typedef struct member {
  node_peer wire;
  role role;
  bool is_open;
  int64_t since;
  int64_t cut_after; /* ms; -1: it was not */
  int64_t asked;
  unsigned answers;
  unsigned pages;
} member;

enum { MEMBERS = IDLE_PEERS + BUSY_PEERS + 4 * BAD_PEERS };

static member members[MEMBERS];
static int64_t slowest;
static int64_t waited; /* ms that the node and its peers stood in line for a processor */
static unsigned wrong;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---- Asking ------------------------------------------------------------------------------- */

static void put_write(node_peer *peer, const char *stream, unsigned number, size_t size) {
  static char data[100000];
  static const pump_tcp_correlation id = {{3}};
  pump_new_event event = {.type = pump_bytes_of("t"), .data = {data, size}};
  memcpy(event.id.bytes, &number, sizeof number);
  event.id.bytes[15] = 1;
  pump_tcp_encode_write(&peer->out, &id, (pump_bytes){0}, (pump_bytes){0}, pump_bytes_of(stream),
                        PUMP_ANY, false, &event, 1);
}

static void put_read(node_peer *peer, const char *stream, int32_t count) {
  static const pump_tcp_correlation id = {{4}};
  PumpTcp__ReadStreamEvents body = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  body.has_event_stream_id = body.has_from_event_number = body.has_max_count = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  body.from_event_number = -1;
  body.max_count = count;
  pump_tcp_pack(&peer->out, PUMP_TCP_READ_STREAM_BACKWARD, &id, (pump_bytes){0}, (pump_bytes){0},
                &body.base);
}

static void put_ping(node_peer *peer) {
  static const pump_tcp_correlation id = {{5}};
  pump_tcp_frame_write(&peer->out, PUMP_TCP_PING, &id, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){0});
}

/* By turns a write, a page and a ping. */
static void ask(member *busy) {
  char stream[32];
  unsigned number = (unsigned)(busy - members);
  snprintf(stream, sizeof stream, "busy %u", number % 20);
  if (busy->answers % 3 == 0)
    put_write(&busy->wire, stream, number * 1000000 + busy->answers, 100);
  else if (busy->answers % 3 == 1)
    put_read(&busy->wire, stream, 10);
  else
    put_ping(&busy->wire);
  busy->asked = now();
  node_peer_flush(&busy->wire);
}

static void take(member *of, const pump_tcp_frame *frame) {
  static const uint8_t wanted[] = {PUMP_TCP_WRITE_EVENTS_COMPLETED,
                                   PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED, PUMP_TCP_PONG};
  if (frame->command == PUMP_TCP_HEARTBEAT_REQUEST) {
    if (of->role == IDLE || of->role == BUSY)
      node_peer_send(&of->wire, PUMP_TCP_HEARTBEAT_RESPONSE, &frame->correlation, NULL, NULL,
                     (pump_bytes){0});
    return;
  }
  if (of->role == DEAF || of->role == TALKATIVE) of->pages++;
  if (of->role == IDLE && frame->command == PUMP_TCP_PONG) of->answers++;
  if (of->role != BUSY) return;
  wrong += frame->command != wanted[of->answers % 3];
  int64_t took = now() - of->asked;
  if (took > slowest) slowest = took;
  of->answers++;
  ask(of);
}

static void leave(member *who) {
  who->is_open = false;
  who->cut_after = now() - who->since;
}

static void drain(member *from) {
  uint8_t *to;
  size_t room;
  pump_tcp_frame frame;
  if (pump_tcp_reader_space(&from->wire.reader, &to, &room) != 0) return;
  ssize_t got = recv(from->wire.fd, to, room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    leave(from);
    return;
  }
  pump_tcp_reader_filled(&from->wire.reader, (size_t)got);
  while (pump_tcp_reader_next(&from->wire.reader, &frame) == 1)
    take(from, &frame);
}

/* ---- The crowd ---------------------------------------------------------------------------- */

static bool join(member *who, role as, int port) {
  *who = (member){.role = as, .cut_after = -1};
  who->is_open = node_peer_connect(&who->wire, port);
  who->since = now();
  if (as != IDLE && as != BUSY) node_peer_alone(&who->wire);
  if (as == HALFWAY) node_peer_send_bytes(&who->wire, "\x20\0\0\0\x82\0some", 10);
  if (as == DEAF || as == TALKATIVE) {
    for (int i = 0; i < DEAF_PAGES; i++)
      put_read(&who->wire, "large", 20);
    node_peer_flush(&who->wire);
  }
  if (as == BUSY) ask(who);
  return who->is_open;
}

/* Says on, as long as that can be done without waiting. */
static void babble(member *who) {
  put_ping(&who->wire);
  ssize_t sent =
      send(who->wire.fd, who->wire.out.data, who->wire.out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
  pump_buffer_clear(&who->wire.out);
  if (sent < 0 && errno != EAGAIN) leave(who);
}

static void live_until(int64_t end) {
  static struct pollfd polls[MEMBERS];
  for (int64_t spoke = 0; now() < end;) {
    node_peers_live();
    bool is_time = now() > spoke + 100;
    if (is_time) spoke = now();
    for (int i = 0; i < MEMBERS; i++) {
      member *who = &members[i];
      bool is_deaf = who->role == DEAF || who->role == TALKATIVE;
      polls[i] =
          (struct pollfd){.fd = who->is_open ? who->wire.fd : -1, .events = is_deaf ? 0 : POLLIN};
      if (is_time && who->is_open && who->role == TALKATIVE) babble(who);
    }
    poll(polls, MEMBERS, 20);
    for (int i = 0; i < MEMBERS; i++) {
      if (!polls[i].revents || !members[i].is_open) continue;
      if (polls[i].events)
        drain(&members[i]);
      else
        leave(&members[i]);
    }
  }
}

static int gather(int port) {
  static const struct {
    role role;
    int count;
  } kinds[] = {{IDLE, IDLE_PEERS},   {BUSY, BUSY_PEERS}, {SILENT, BAD_PEERS},
               {HALFWAY, BAD_PEERS}, {DEAF, BAD_PEERS},  {TALKATIVE, BAD_PEERS}};
  int number = 0, joined = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    for (int k = 0; k < kinds[i].count; k++) {
      joined += join(&members[number++], kinds[i].role, port);
      if (number % 40 == 0) live_until(now() + 1); /* those who are there do not wait */
    }
  }
  return joined;
}

/* ---- What became of them ------------------------------------------------------------------ */

static int count_open(role as) {
  int count = 0;
  for (int i = 0; i < MEMBERS; i++)
    count += members[i].role == as && members[i].is_open;
  return count;
}

/* Nobody is left who has to go, and who asks has had answers enough. */
static bool is_over(void) {
  for (int i = 0; i < MEMBERS; i++) {
    const member *who = &members[i];
    bool must_go = who->role == SILENT || who->role == HALFWAY || who->role == TALKATIVE;
    if ((must_go && who->is_open) || (who->role == BUSY && who->answers < SHARE)) return false;
  }
  return true;
}

static void check_cut(role as, const char *what) {
  int count = 0;
  int64_t first = INT64_MAX, last = -1;
  for (int i = 0; i < MEMBERS; i++) {
    if (members[i].role != as || members[i].cut_after < 0) continue;
    count++;
    if (members[i].cut_after < first) first = members[i].cut_after;
    if (members[i].cut_after > last) last = members[i].cut_after;
  }
  tap_ok(count == BAD_PEERS && first >= CUT_EARLIEST && last <= CUT_LATEST * slowness() + waited,
         "%d that %s are cut loose after %lld to %lld ms", count, what, (long long)first,
         (long long)last);
}

/* Whoever reads nothing sees no end either: now it reads, and there is one before all has come. */
static void check_deaf(void) {
  int ended = 0;
  unsigned pages = 0;
  for (int i = 0; i < MEMBERS; i++) {
    member *who = &members[i];
    if (who->role != DEAF) continue;
    int64_t end = now() + PEER_PATIENCE * 1000;
    while (who->is_open && now() < end)
      drain(who);
    ended += !who->is_open && who->pages < DEAF_PAGES;
    pages += who->pages;
  }
  tap_ok(ended == BAD_PEERS, "%d that read nothing were cut loose too (%u pages came)", ended,
         pages);
}

static void check_living(void) {
  unsigned least = UINT32_MAX, all = 0;
  int pongs = 0;
  for (int i = 0; i < MEMBERS; i++) {
    if (members[i].role == BUSY) {
      all += members[i].answers;
      if (members[i].answers < least) least = members[i].answers;
    } else if (members[i].role == IDLE && members[i].is_open) {
      put_ping(&members[i].wire);
      node_peer_flush(&members[i].wire);
    }
  }
  tap_ok(count_open(BUSY) == BUSY_PEERS && wrong == 0,
         "%d busy peers got the %u answers that they asked for", count_open(BUSY), all);
  tap_ok(least >= SHARE, "each of them its share (%u at least)", least);
  tap_ok(slowest < MAX_LATENCY * slowness() + waited, "and waited for none longer than %lld ms",
         (long long)slowest);
  for (int64_t end = now() + PEER_PATIENCE * 1000; pongs < IDLE_PEERS && now() < end;) {
    live_until(now() + 100);
    pongs = 0;
    for (int i = 0; i < MEMBERS; i++)
      pongs += members[i].role == IDLE && members[i].answers == 1;
  }
  tap_ok(pongs == IDLE_PEERS, "%d idle peers are there all the while", pongs);
}

static bool allow_files(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_cur >= MEMBERS + 100;
}

int main(void) {
  if (!allow_files()) {
    printf("1..0 # SKIP this shell allows too few open files\n");
    return 0;
  }
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = "127.0.0.1:0";
  node_child child = node_child_start(&options);
  member first;
  pump_tcp_frame frame;
  join(&first, IDLE, child.port);
  for (unsigned i = 0; i < 20; i++)
    put_write(&first.wire, "large", i, 100000);
  node_peer_flush(&first.wire);
  for (unsigned i = 0; i < 20; i++)
    node_peer_receive(&first.wire, &frame);
  node_peer_close(&first.wire);

  tap_ok(gather(child.port) == MEMBERS, "%d peers come", MEMBERS);
  live_until(now() + MILLISECONDS * slowness());
  for (int64_t end = now() + PEER_PATIENCE * 1000 * slowness(); !is_over() && now() < end;)
    live_until(now() + 100);
  waited = time_waited(child.pid) + time_waited(getpid());
  check_cut(SILENT, "send nothing");
  check_cut(HALFWAY, "send half a frame");
  check_cut(TALKATIVE, "talk and read nothing");
  check_living();
  check_deaf();
  long megabytes = node_child_megabytes(&child);
  /* valgrind keeps books on every byte. */
  tap_ok(megabytes < MAX_MEGABYTES * (slowness() > 1 ? 10 : 1),
         "the node had %ld MB of memory at most", megabytes);
  for (int i = 0; i < MEMBERS; i++)
    node_peer_close(&members[i].wire);
  tap_ok(node_child_stop(&child), "it ends in order");
  return tap_done();
}

/* The embedded node as a program: what it keeps when it is killed, what it does when the disk is
 * full, and what peers that misbehave can't do to it and to others. */
#include "tap.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "node_child.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

static char folder[128];

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static pump_node_options options_of(const char *file) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = file;
  options.listen = "127.0.0.1:0";
  return options;
}

/* A write of one event whose id and correlation id are its number. */
static void put_write(pump_buffer *out, const char *stream, unsigned number, size_t size) {
  static char data[1 << 20];
  pump_tcp_correlation id = {{0}};
  pump_new_event event = {.type = pump_bytes_of("t"), .data = {data, size}};
  memset(data, 'a' + (int)(number % 26), size);
  memcpy(id.bytes, &number, sizeof number);
  id.bytes[15] = 1;
  memcpy(event.id.bytes, id.bytes, sizeof event.id.bytes);
  pump_tcp_encode_write(out, &id, (pump_bytes){0}, (pump_bytes){0}, pump_bytes_of(stream), PUMP_ANY,
                        false, &event, 1);
}

static unsigned number_of(const pump_tcp_frame *frame) {
  unsigned number;
  memcpy(&number, frame->correlation.bytes, sizeof number);
  return number;
}

static void put_read(pump_buffer *out, uint8_t command, const char *stream, int64_t from,
                     int count) {
  uint8_t body[128];
  static const pump_tcp_correlation id = {{7}};
  uint8_t *end = pump_pb_put_bytes(body, 1, stream, strlen(stream));
  end = pump_pb_put_number(end, 2, (uint64_t)from);
  end = pump_pb_put_number(end, 3, (uint64_t)count);
  pump_tcp_frame_write(out, command, &id, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){(char *)body, (size_t)(end - body)});
}

static bool ping(node_peer *peer) {
  static const pump_tcp_correlation id = {{5}};
  pump_tcp_frame frame;
  return node_peer_send(peer, PUMP_TCP_PING, &id, NULL, NULL, pump_bytes_of("hello")) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_PONG &&
         pump_bytes_is(frame.payload, "hello");
}

static bool is_success(const pump_tcp_frame *frame) {
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  bool is = frame->command == PUMP_TCP_WRITE_EVENTS_COMPLETED && message &&
            ((PumpTcp__WriteEventsCompleted *)(void *)message)->result ==
                PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS;
  if (message) pump_tcp_unpack_free(message);
  return is;
}

/* ---- Durability --------------------------------------------------------------------------- */

/* Every id that stands in the store, by number; false where one stands there twice. */
static bool read_ids(const char *file, bool *stands, unsigned count, bool *is_sound) {
  sqlite3 *db;
  sqlite3_stmt *rows;
  bool is_once = true;
  sqlite3_open(file, &db);
  sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &rows, NULL);
  *is_sound = sqlite3_step(rows) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(rows, 0), "ok") == 0;
  sqlite3_finalize(rows);
  sqlite3_prepare_v2(db, "SELECT id FROM events", -1, &rows, NULL);
  while (sqlite3_step(rows) == SQLITE_ROW) {
    unsigned number;
    memcpy(&number, sqlite3_column_blob(rows, 0), sizeof number);
    if (number >= count) continue;
    is_once = is_once && !stands[number];
    stands[number] = true;
  }
  sqlite3_finalize(rows);
  sqlite3_close(db);
  return is_once;
}

#define WRITES 40000

/* Writes are sent without waiting for answers, and the node is killed at any moment. */
static bool kill_once(const char *file, int round, bool *answered, unsigned *next) {
  pump_node_options options = options_of(file);
  node_child child = node_child_start(&options);
  node_peer peer;
  if (!child.port || !node_peer_connect(&peer, child.port) || !ping(&peer)) return false;
  for (int lot = 0; lot < 4 + round % 8; lot++) {
    for (int i = 0; i < 10; i++)
      put_write(&peer.out, "s", (*next)++, 100);
    if (!node_peer_flush(&peer)) return false;
    usleep((useconds_t)(round * 37 % 400));
  }
  pump_tcp_frame frame;
  for (int i = 0; i < round % 4 && node_peer_receive(&peer, &frame); i++)
    answered[number_of(&frame)] = is_success(&frame);
  node_child_kill(&child);
  while (node_peer_receive(&peer, &frame))
    answered[number_of(&frame)] = is_success(&frame);
  node_peer_close(&peer);
  return true;
}

static void test_killing(void) {
  static bool answered[WRITES], stands[WRITES];
  const char *file = path_of("kill.db");
  unsigned next = 0;
  bool is_good = true, is_sound;
  const char *rounds = getenv("PUMP_KILLS");
  for (int i = 0; i < (rounds ? atoi(rounds) : 20) && next + 150 < WRITES; i++)
    is_good = kill_once(file, i, answered, &next) && is_good;
  tap_ok(is_good, "a node that is killed during writes starts again, each time");
  bool is_once = read_ids(file, stands, WRITES, &is_sound);
  unsigned lost = 0, count = 0;
  for (unsigned i = 0; i < WRITES; i++) {
    count += answered[i];
    lost += answered[i] && !stands[i];
  }
  tap_ok(lost == 0 && count > 0, "everything that was answered is there (%u of %u sent, %u lost)",
         count, next, lost);
  tap_ok(count < next, "though not everything was");
  tap_ok(is_once, "and nothing twice");
  tap_ok(is_sound, "and SQLite finds its file sound");
}

static void limit_files(rlim_t size) {
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = size;
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, size == RLIM_INFINITY ? SIG_DFL : SIG_IGN);
}

static void test_full_disk(void) {
  pump_node_options options = options_of(path_of("full.db"));
  limit_files(2 << 20);
  node_child child = node_child_start(&options);
  limit_files(RLIM_INFINITY);
  node_peer peer;
  pump_tcp_frame frame;
  unsigned stored = 0, refused = 0, odd = 0;
  tap_ok(child.port && node_peer_connect(&peer, child.port), "a node on a small disk starts");
  for (unsigned i = 0; i < 60; i++) {
    put_write(&peer.out, "s", i, 100000);
    if (i % 4 != 3) continue; /* four share a commit */
    node_peer_flush(&peer);
    for (int k = 0; k < 4 && node_peer_receive(&peer, &frame); k++) {
      bool is_refused = frame.command == PUMP_TCP_BAD_REQUEST &&
                        pump_bytes_starts(frame.payload, "the store could not write: ");
      if (is_refused && refused == 0)
        printf("# %.*s\n", (int)frame.payload.size, frame.payload.data);
      stored += is_success(&frame);
      refused += is_refused;
      odd += !is_refused && !is_success(&frame);
    }
  }
  tap_ok(stored > 4 && refused > 4 && odd == 0 && stored + refused == 60,
         "%u writes are stored, %u refused with a reason", stored, refused);
  put_read(&peer.out, PUMP_TCP_READ_STREAM_FORWARD, "s", 0, 100);
  unsigned read = 0;
  if (node_peer_flush(&peer) && node_peer_receive(&peer, &frame)) {
    pump_pb_cursor cursor = pump_pb_start(frame.payload);
    pump_pb_field field;
    while (pump_pb_next(&cursor, &field))
      read += field.number == 1;
  }
  tap_ok(read == stored, "what was stored can be read (%u)", read);
  node_peer_close(&peer);
  tap_ok(node_child_stop(&child), "and the node ends in order");
}

/* ---- Peers -------------------------------------------------------------------------------- */

static void test_pipelining(node_child *child) {
  node_peer peer;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  bool is_in_order = true;
  for (unsigned i = 0; i < 500; i++)
    put_write(&peer.out, "pipeline", i, 10);
  put_read(&peer.out, PUMP_TCP_READ_STREAM_FORWARD, "pipeline", 499, 1);
  node_peer_flush(&peer);
  for (unsigned i = 0; i < 500; i++)
    is_in_order = node_peer_receive(&peer, &frame) && is_success(&frame) &&
                  number_of(&frame) == i && is_in_order;
  tap_ok(is_in_order, "500 writes at once are answered, in order");
  tap_ok(node_peer_receive(&peer, &frame) && frame.payload.size > 40,
         "and a read behind them sees the last");
  node_peer_close(&peer);
}

static void test_slow_bytes(node_child *child) {
  node_peer peer;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  put_write(&peer.out, "slow", 1, 20);
  for (size_t i = 0; i < peer.out.size; i++) {
    node_peer_send_bytes(&peer, peer.out.data + i, 1);
    usleep(300);
  }
  pump_buffer_clear(&peer.out);
  tap_ok(node_peer_receive(&peer, &frame) && is_success(&frame),
         "a frame that comes byte by byte is a frame");
  node_peer_close(&peer);
}

/* Asks for far more than it reads. */
static void test_slow_reader(node_child *child) {
  node_peer slow, other;
  node_peer_connect(&slow, child->port);
  node_peer_connect(&other, child->port);
  pump_tcp_frame frame;
  for (unsigned i = 0; i < 20; i++) {
    put_write(&other.out, "large", 1000 + i, 1 << 20);
    node_peer_flush(&other);
    node_peer_receive(&other, &frame);
  }
  for (int i = 0; i < 12; i++)
    put_read(&slow.out, PUMP_TCP_READ_STREAM_FORWARD, "large", 0, 20);
  node_peer_flush(&slow);
  usleep(100000);
  tap_ok(ping(&other), "a peer that does not read holds up nobody");
  int pages = 0;
  while (pages < 12 && node_peer_receive(&slow, &frame) && frame.payload.size > 20u << 20)
    pages++;
  tap_ok(pages == 12, "and gets its %d large pages when it does", pages);
  node_peer_close(&slow);
  node_peer_close(&other);
}

static void test_silence(node_child *child) {
  node_peer silent, talking;
  node_peer_connect(&silent, child->port);
  node_peer_connect(&talking, child->port);
  uint8_t bytes[256];
  ssize_t got = recv(silent.fd, bytes, sizeof bytes, 0);
  tap_ok(got == PUMP_TCP_HEAD_SIZE && bytes[4] == PUMP_TCP_HEARTBEAT_REQUEST,
         "a silent peer is asked for a sign of life");
  node_peer_send(&talking, PUMP_TCP_HEARTBEAT_RESPONSE, &(pump_tcp_correlation){{1}}, NULL, NULL,
                 (pump_bytes){0});
  tap_ok(recv(silent.fd, bytes, sizeof bytes, 0) == 0, "and cut off when it gives none");
  tap_ok(ping(&talking), "one that answers is not");
  node_peer_close(&silent);
  node_peer_close(&talking);
}

static void test_garbage(node_child *child) {
  node_peer peer, other;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  node_peer_connect(&other, child->port);
  static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  node_peer_send_bytes(&peer, http, sizeof http - 1);
  static const pump_tcp_correlation nobody;
  bool is_refused = node_peer_receive(&peer, &frame) && frame.command == PUMP_TCP_BAD_REQUEST &&
                    memcmp(&frame.correlation, &nobody, sizeof nobody) == 0;
  if (!is_refused) frame.payload.size = 0;
  tap_ok(is_refused, "what is no frame is a bad request: %.*s", (int)frame.payload.size,
         frame.payload.data);
  char byte;
  tap_ok(recv(peer.fd, &byte, 1, 0) == 0, "and the end of the connection");
  tap_ok(ping(&other), "not of others");
  node_peer_close(&peer);
  node_peer_close(&other);
}

/* A thousand connections are served, one more is not; each answers and is answered. */
static void test_crowd(node_child *child) {
  enum { CROWD = 1000 };
  static node_peer peers[CROWD];
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < CROWD + 100) {
    tap_ok(true, "a crowd # SKIP this shell allows %d open files", (int)limit.rlim_cur);
    return;
  }
  int served = 0, pongs = 0;
  for (int i = 0; i < CROWD; i++)
    served += node_peer_connect(&peers[i], child->port) && ping(&peers[i]);
  node_peer late;
  bool is_served = node_peer_connect(&late, child->port) && ping(&late);
  for (int i = 0; i < CROWD; i++) {
    put_write(&peers[i].out, "crowd", 5000 + (unsigned)i, 100);
    node_peer_flush(&peers[i]);
  }
  pump_tcp_frame frame;
  for (int i = 0; i < CROWD; i++)
    pongs += node_peer_receive(&peers[i], &frame) && is_success(&frame);
  tap_ok(served == CROWD && !is_served, "%d peers are served, no more", served);
  tap_ok(pongs == CROWD, "and all of them write at once (%d)", pongs);
  node_peer_close(&late);
  for (int i = 0; i < CROWD; i++)
    node_peer_close(&peers[i]);
}

/* ---- In this process ---------------------------------------------------------------------- */

static void refuses(pump_node_options options, const char *words) {
  uv_loop_t loop;
  pump_node *node;
  char error[256] = "";
  uv_loop_init(&loop);
  int code = pump_node_new(&node, &loop, &options, error, sizeof error);
  bool is_clean = uv_loop_close(&loop) == 0;
  tap_ok(code != 0 && !node && is_clean && strstr(error, words) && !strchr(error, '\n'),
         "refused: %s", error);
}

static void test_options(const node_child *child) {
  pump_node_options options = options_of(NULL);
  options.listen = "0.0.0.0:0";
  refuses(options, "insecure_listen");
  options.listen = "[::]:0";
  refuses(options, "insecure_listen");
  options.listen = "nonsense";
  refuses(options, "HOST:PORT");
  options.listen = "127.0.0.1:70000";
  refuses(options, "HOST:PORT");
  char taken[32];
  snprintf(taken, sizeof taken, "127.0.0.1:%d", child->port);
  options.listen = taken;
  refuses(options, "in use");
  options = options_of("/tmp/no-such-folder/x.db");
  refuses(options, "No such file");
  options = options_of(NULL);
  options.like = "3.9";
  refuses(options, "3.9");
}

static void on_closed(void *ud) {
  ++*(int *)ud;
}

static void test_owner(void) {
  uv_loop_t loop;
  pump_node *node;
  char error[256];
  pump_node_options options = options_of(NULL);
  options.listen = NULL;
  uv_loop_init(&loop);
  int fd = -1, closed = 0;
  bool is_open = pump_node_new(&node, &loop, &options, error, sizeof error) == 0 &&
                 pump_node_opener(node, &fd) == 0;
  tap_ok(is_open && !pump_node_address(node), "a node that does not listen is open to its owner");
  node_peer peer = {.fd = fd};
  pump_tcp_frame frame;
  pump_tcp_reader_init(&peer.reader, PUMP_MAX_FRAME);
  put_write(&peer.out, "$system", 1, 10);
  node_peer_flush(&peer);
  for (int i = 0; i < 5; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  tap_ok(node_peer_receive(&peer, &frame) && is_success(&frame), "who acts as admin");
  pump_node_close(node, on_closed, &closed);
  tap_ok(pump_node_opener(node, &(int){0}) == PUMP_ECLOSED, "a node that closes opens nothing");
  uv_run(&loop, UV_RUN_DEFAULT);
  char byte;
  tap_ok(closed == 1 && recv(fd, &byte, 1, 0) == 0, "closing ends connections and says so once");
  tap_ok(uv_loop_close(&loop) == 0, "and leaves nothing on the loop");
  node_peer_close(&peer);
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const char *tmp = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/pump-node-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  pump_node_options options = options_of(NULL);
  node_child child = node_child_start(&options);
  test_pipelining(&child);
  test_slow_bytes(&child);
  test_garbage(&child);
  test_slow_reader(&child);
  test_crowd(&child);
  test_silence(&child);
  test_options(&child);
  tap_ok(node_child_stop(&child), "after all that it ends with nothing open");
  test_owner();
  test_killing();
  test_full_disk();
  char command[160];
  snprintf(command, sizeof command, "rm -r %s", folder);
  if (system(command) != 0) return 1;
  return tap_done();
}

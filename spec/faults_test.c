/* Faults of the embedded node, to the byte: what a peer on its socket gets of them. */
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <pump_node.h>
#include "base/buffer.h"
#include "base/bytes.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"
#include "wire/tcp/frame.h"

static uv_loop_t loop;
static pump_node *node;
static const pump_tcp_correlation id = {{1, 2, 3}};

typedef struct peer {
  int fd;
  uint8_t got[4096];
  size_t size;
  size_t most_at_once;
  bool has_ended;
} peer;

static void receive(peer *from) {
  if (from->has_ended) return;
  ssize_t got = recv(from->fd, from->got + from->size, sizeof from->got - from->size, MSG_DONTWAIT);
  if (got > 0) from->size += (size_t)got;
  if (got > (ssize_t)from->most_at_once) from->most_at_once = (size_t)got;
  from->has_ended = got == 0 || (got < 0 && errno != EAGAIN);
}

/* Runs the node for a while, and takes what it sends after each turn of its loop. On a busy machine
 * the time may be over in one turn: there are some in which nothing comes. */
static void run(peer *from, uint64_t milliseconds) {
  uint64_t end = uv_hrtime() + milliseconds * 1000000;
  for (int idle = 0; uv_hrtime() < end || idle < 5;) {
    size_t size = from->size;
    uv_run(&loop, UV_RUN_NOWAIT);
    receive(from);
    idle = from->size == size ? idle + 1 : 0;
    if (idle > 0) poll(NULL, 0, 1);
  }
}

static void come(peer *it) {
  *it = (peer){0};
  if (pump_node_opener(node, &it->fd) != 0) abort();
}

static void leave(peer *it) {
  close(it->fd);
  run(it, 5);
}

static void ask(const peer *to, uint8_t command, pump_bytes body) {
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_frame_write(&out, command, &id, (pump_bytes){0}, (pump_bytes){0}, body);
  if (send(to->fd, out.data, out.size, MSG_NOSIGNAL) != (ssize_t)out.size) abort();
  pump_buffer_free(&out);
}

static void ask_for_event(const peer *to) {
  uint8_t body[32];
  uint8_t *end = pump_pb_put_bytes(body, 1, "s", 1);
  end = pump_pb_put_number(end, 2, 0);
  ask(to, PUMP_TCP_READ_EVENT, (pump_bytes){(const char *)body, (size_t)(end - body)});
}

/* How many whole frames came, and the last of them. */
static int count_frames(const peer *it, uint8_t *command, pump_bytes *body) {
  int count = 0;
  for (size_t at = 0; at + 22 <= it->size; count++) {
    uint32_t size;
    memcpy(&size, it->got + at, 4);
    if (at + 4 + size > it->size) break;
    *command = it->got[at + 4];
    *body = (pump_bytes){(const char *)it->got + at + 22, size - 18};
    at += 4 + size;
  }
  return count;
}

static bool got_frames(const peer *it, int count, uint8_t command) {
  uint8_t last = 0;
  pump_bytes body;
  return count_frames(it, &last, &body) == count && (count == 0 || last == command);
}

static void set(const pump_node_faults *faults) {
  if (pump_node_set_faults(node, faults) != 0) abort();
}

/* ---- What is sent ------------------------------------------------------------------------- */

static void test_bytes(void) {
  peer it;
  come(&it);
  ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG) && it.most_at_once == 32,
         "an answer comes in one piece");
  it.size = it.most_at_once = 0;
  set(&(pump_node_faults){.one_byte = true, .count = 1});
  ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
  run(&it, 100);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG) && it.most_at_once <= 2,
         "or byte by byte, two at most in a turn of the loop");
  it.size = it.most_at_once = 0;
  ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
  run(&it, 20);
  tap_ok(it.size == 32 && it.most_at_once == 32, "and in one piece again after the count");
  it.size = 0;
  set(&(pump_node_faults){.duplicate = true});
  ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
  run(&it, 20);
  tap_ok(got_frames(&it, 2, PUMP_TCP_PONG) && memcmp(it.got, it.got + 32, 32) == 0, "or twice");
  leave(&it);
}

static void test_cutting(void) {
  bool is_right = true;
  for (size_t at = 0; at <= 40; at++) {
    peer it;
    come(&it);
    set(&(pump_node_faults){.cut = true, .cut_at = at, .count = 1});
    ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
    run(&it, 5);
    is_right = is_right && it.has_ended && it.size == (at < 32 ? at : 32);
    leave(&it);
  }
  tap_ok(is_right, "a frame of 32 bytes is cut after 0 to 32 of them, and the connection ends");
}

static void test_silence(void) {
  peer it;
  come(&it);
  set(&(pump_node_faults){.silent = true, .count = 1});
  ask(&it, PUMP_TCP_HEARTBEAT_REQUEST, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_HEARTBEAT_RESPONSE),
         "heartbeats are answered while some answers are swallowed");
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 2, PUMP_TCP_PONG), "of two answers one is swallowed");
  set(&(pump_node_faults){.silent = true});
  it.size = 0;
  ask(&it, PUMP_TCP_HEARTBEAT_REQUEST, (pump_bytes){0});
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 3600);
  tap_ok(it.size == 0 && !it.has_ended,
         "a silent node says nothing, asks nothing and cuts nobody for 3.6 s");
  set(NULL);
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG), "and answers when it is over");
  leave(&it);
}

static void test_delay(void) {
  peer it, other;
  come(&it);
  come(&other);
  set(&(pump_node_faults){.delay = 60});
  uint64_t asked = uv_hrtime();
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  ask(&other, PUMP_TCP_PING, (pump_bytes){0});
  for (int i = 0; i < 10 && it.size == 0; i++)
    run(&it, 4);
  tap_ok(it.size == 0 || uv_hrtime() - asked >= 60000000, "a delayed answer is not there early");
  leave(&other); /* with an answer that waits for it */
  for (int i = 0; i < 1000 && it.size == 0; i++)
    run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG), "but in time, when another peer left waiting too");
  leave(&it);
}

static void test_not_handled(void) {
  /* As the slave of a cluster of 5.0 said it, but for the secure address. */
  static const uint8_t recorded[] = {0x08, 0x02, 0x12, 0x1b, 0x0a, 0x09, '1',  '2',  '7',  '.', '0',
                                     '.',  '0',  '.',  '1',  0x10, 0xf9, 0x27, 0x1a, 0x09, '1', '2',
                                     '7',  '.',  '0',  '.',  '0',  '.',  '1',  0x20, 0};
  peer it;
  uint8_t command = 0;
  pump_bytes body = {0};
  come(&it);
  set(&(pump_node_faults){.not_handled = PUMP_ENOTLEADER, .leader = "127.0.0.1:5113"});
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG), "pings are handled whatever happens");
  ask_for_event(&it);
  run(&it, 20);
  tap_ok(count_frames(&it, &command, &body) == 2 && command == PUMP_TCP_NOT_HANDLED &&
             body.size == sizeof recorded && memcmp(body.data, recorded, sizeof recorded) == 0,
         "NotMaster says where the leader is");
  set(&(pump_node_faults){.not_handled = PUMP_EBUSY, .only = PUMP_NODE_WRITES});
  ask_for_event(&it);
  run(&it, 20);
  tap_ok(got_frames(&it, 3, PUMP_TCP_READ_EVENT_COMPLETED), "a read is no write");
  set(NULL);
  leave(&it);
}

static void write_event(const peer *to) {
  pump_new_event event = {.id = {{1, 2, 3}}, .type = pump_bytes_of("t")};
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_encode_write(&out, &id, (pump_bytes){0}, (pump_bytes){0}, pump_bytes_of("s"), PUMP_ANY,
                        false, &event, 1);
  if (send(to->fd, out.data, out.size, MSG_NOSIGNAL) != (ssize_t)out.size) abort();
  pump_buffer_free(&out);
}

static void test_subscription(void) {
  uint8_t body[8];
  const uint8_t *end = pump_pb_put_number(pump_pb_put_bytes(body, 1, "s", 1), 2, 0);
  peer it, writer;
  come(&it);
  come(&writer);
  ask(&it, PUMP_TCP_SUBSCRIBE_TO_STREAM, (pump_bytes){(const char *)body, (size_t)(end - body)});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_SUBSCRIPTION_CONFIRMATION), "somebody subscribes");
  set(&(pump_node_faults){.duplicate = true});
  write_event(&writer);
  run(&it, 20);
  run(&writer, 20);
  tap_ok(got_frames(&it, 3, PUMP_TCP_STREAM_EVENT_APPEARED) &&
             got_frames(&writer, 2, PUMP_TCP_WRITE_EVENTS_COMPLETED),
         "events that a subscription brings are answers too");
  set(NULL);
  leave(&it);
  leave(&writer);
}

/* How many of a hundred are answered, or refused. */
static int count_hundred(const pump_node_faults *faults, uint8_t command) {
  peer it;
  uint8_t last = 0;
  pump_bytes body;
  int count = 0;
  come(&it);
  set(faults);
  for (int i = 0; i < 100; i++) {
    it.size = 0;
    if (command == PUMP_TCP_PONG)
      ask(&it, PUMP_TCP_PING, (pump_bytes){0});
    else
      ask_for_event(&it);
    run(&it, 2);
    count += count_frames(&it, &last, &body) == 1 && last == command;
  }
  set(NULL);
  leave(&it);
  return count;
}

static void test_chance(void) {
  int none = count_hundred(&(pump_node_faults){.silent = true, .chance = 1}, PUMP_TCP_PONG);
  int some = count_hundred(&(pump_node_faults){.silent = true, .chance = 0.5}, PUMP_TCP_PONG);
  int most = count_hundred(&(pump_node_faults){.silent = true, .chance = 1e-9}, PUMP_TCP_PONG);
  tap_ok(none == 0 && some > 15 && some < 85 && most == 100, "answers are hit by chance (%d %d %d)",
         none, some, most);
  pump_node_faults refusing = {.not_handled = PUMP_EBUSY, .chance = 0.5, .count = 1000};
  some = count_hundred(&refusing, PUMP_TCP_NOT_HANDLED);
  tap_ok(some > 15 && some < 85, "and so are requests (%d)", some);
}

static void test_duration(void) {
  peer it;
  int fd = -1;
  come(&it);
  set(&(pump_node_faults){.silent = true, .refuse = true, .gossip = "{}", .duration = 800});
  uint64_t began = uv_hrtime();
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 40);
  pump_node_faults got = pump_node_get_faults(node);
  bool is_late = uv_hrtime() - began > 790000000; /* the machine had no time for us */
  tap_ok((it.size == 0 && got.duration > 0 && got.duration <= 770 && got.refuse) || is_late,
         "it lasts as long as it is to");
  run(&it, 900);
  it.size = 0;
  got = pump_node_get_faults(node);
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG) && !got.silent && !got.refuse && !got.gossip &&
             got.duration == 0 && pump_node_opener(node, &fd) == 0,
         "and then all of it ends");
  close(fd);
  leave(&it);
}

/* ---- What is set -------------------------------------------------------------------------- */

static void test_settings(void) {
  char leader[] = "h:1", gossip[] = "{}";
  set(&(pump_node_faults){.leader = leader, .gossip = gossip, .delay = 5, .count = 2});
  leader[0] = gossip[0] = 'x';
  pump_node_faults got = pump_node_get_faults(node);
  tap_ok(strcmp(got.leader, "h:1") == 0 && strcmp(got.gossip, "{}") == 0 && got.delay == 5,
         "what is set is copied and can be read");
  static const pump_node_faults wrong[] = {{.not_handled = PUMP_ETIMEOUT},
                                           {.only = 3},
                                           {.only = -1},
                                           {.leader = "nowhere"},
                                           {.leader = ":1"},
                                           {.leader = "a:b"},
                                           {.leader = "a:65536"},
                                           {.leader = "::1:1"},
                                           {.chance = -0.1},
                                           {.chance = 1.1}};
  bool is_refused = true;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    is_refused = pump_node_set_faults(node, &wrong[i]) == PUMP_EINVALID && is_refused;
  tap_ok(is_refused && pump_node_get_faults(node).delay == 5,
         "what makes no sense changes nothing");
  set(&(pump_node_faults){.refuse = true});
  int fd = -1;
  tap_ok(pump_node_opener(node, &fd) == PUMP_ECONNECT && fd == -1,
         "no connection while it refuses");
  set(NULL);
  got = pump_node_get_faults(node);
  tap_ok(!got.leader && !got.gossip && !got.refuse, "NULL ends it all");
}

static void test_dropping(void) {
  peer it, other;
  come(&it);
  come(&other);
  pump_node_drop_connections(node);
  run(&it, 10);
  run(&other, 5);
  tap_ok(it.has_ended && other.has_ended, "every connection ends");
  leave(&it);
  leave(&other);
  come(&it);
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 20);
  tap_ok(got_frames(&it, 1, PUMP_TCP_PONG), "and a new one is served");
  leave(&it);
}

/* The node goes while a byte is on its way and answers wait. */
static void test_closing(void) {
  peer it;
  come(&it);
  set(&(pump_node_faults){.delay = 60000});
  ask(&it, PUMP_TCP_PING, (pump_bytes){0});
  run(&it, 10);
  set(&(pump_node_faults){.one_byte = true});
  ask(&it, PUMP_TCP_PING, pump_bytes_of("0123456789"));
  while (it.size == 0)
    run(&it, 1);
  pump_node_close(node, NULL, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(uv_loop_close(&loop) == 0, "nothing is left on the loop");
  close(it.fd);
}

int main(void) {
  pump_node_options options;
  char error[256] = "";
  uv_loop_init(&loop);
  pump_node_options_init(&options);
  if (!tap_ok(pump_node_new(&node, &loop, &options, error, sizeof error) == 0, "a node %s", error))
    return tap_done();
  test_bytes();
  test_cutting();
  test_silence();
  test_delay();
  test_not_handled();
  test_subscription();
  test_chance();
  test_duration();
  test_settings();
  test_dropping();
  test_closing();
  return tap_done();
}

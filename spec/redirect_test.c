/* A server that says who the leader is, and the leader: how a client gets from one to the other, in
 * what order it asks there, and that nothing is left behind wherever it is interrupted. */
#include "starve.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "fake_server.h"
#include "wire/protobuf.h"

#include <pump.h>

static uv_loop_t loop;
static fake_server follower, leader;
static bool leader_is_mute;
static int leader_port; /* as the follower names it */
static const char *leader_host;
static int64_t came[64];
static int came_count;

/* ---- The servers -------------------------------------------------------------------------- */

static void name_leader(fake_server *to, const pump_tcp_frame *frame) {
  uint8_t body[64];
  size_t size = strlen(leader_host);
  if (fake_handshake(to, frame)) return;
  uint8_t head[] = {0x08, 2, 0x12, (uint8_t)(size + 6), 0x0a, (uint8_t)size};
  uint8_t port[] = {0x10, (uint8_t)(leader_port | 0x80), (uint8_t)(leader_port >> 7 | 0x80),
                    (uint8_t)(leader_port >> 14)};
  memcpy(body, head, sizeof head);
  memcpy(body + sizeof head, leader_host, size);
  memcpy(body + sizeof head + size, port, sizeof port);
  fake_reply(to, frame, PUMP_TCP_NOT_HANDLED, (char *)body, sizeof head + size + sizeof port);
}

static void lead(fake_server *to, const pump_tcp_frame *frame) {
  static const char done[] = "\x08\x00\x18\x00\x20\x00";
  if (leader_is_mute || fake_handshake(to, frame)) return;
  pump_pb_cursor cursor = pump_pb_start(frame->payload);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field))
    if (field.number == 2 && came_count < 64) came[came_count++] = (int64_t)field.value;
  fake_reply(to, frame, PUMP_TCP_WRITE_EVENTS_COMPLETED, done, sizeof done - 1);
}

/* The servers have memory enough. */
static void on_frame(fake_server *to, const pump_tcp_frame *frame) {
  starve_state before = starve_pause();
  if (to == &follower)
    name_leader(to, frame);
  else
    lead(to, frame);
  starve_go_on(before);
}

/* ---- A program ---------------------------------------------------------------------------- */

typedef struct program {
  pump_client *client;
  pump_options options;
  int connects, answers, right, losses, asked_for;
  int status;
  char message[600], leader[64];
  int code; /* of pump_client_resolved */
} program;

static void note(program *self, const pump_result *result) {
  if (result->status == 0) return;
  self->status = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
  snprintf(self->leader, sizeof self->leader, "%s", result->leader_host ? result->leader_host : "");
}

static void on_connect(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  self->connects++;
  note(self, result);
}

static void on_answer(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  self->answers++;
  self->right += result->status == 0;
  note(self, result);
}

static void on_lost(pump_client *client, int code, const char *reason, void *ud) {
  program *self = ud;
  (void)client, (void)code, (void)reason;
  self->losses++;
}

static void start(program *self) {
  fake_start(&follower, &loop);
  fake_start(&leader, &loop);
  follower.on_frame = leader.on_frame = on_frame;
  leader_host = "127.0.0.1";
  leader_port = leader.port;
  leader_is_mute = false;
  came_count = 0;
  *self = (program){0};
  pump_options_init(&self->options);
  self->options.port = follower.port;
  self->options.timeout = 1500;
  self->options.connect_timeout = 200;
  self->options.reconnect_delay = 2;
  self->options.reconnect_max_delay = 10;
}

static int open_client(program *self) {
  int code = pump_client_new(&self->client, &loop, &self->options);
  if (code != 0) return code;
  pump_client_on_disconnected(self->client, on_lost, self);
  return pump_client_connect(self->client, on_connect, self);
}

static void finish(program *self) {
  fake_stop(&follower);
  fake_stop(&leader);
  fake_finish(&loop, self->client);
}

static int append(program *self, int64_t expected) {
  pump_bytes text = {"ponies", 6};
  pump_new_event event = {.type = text, .data = text};
  return pump_client_append(self->client, text, expected, &event, 1, NULL, on_answer, self);
}

static bool is_at(const program *self, const fake_server *server) {
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "127.0.0.1:%d", server->port);
  return strcmp(pump_client_endpoint(self->client), endpoint) == 0;
}

/* ---- The tests ---------------------------------------------------------------------------- */

static void moving(void) {
  program self;
  start(&self);
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  for (int i = 0; i < 20; i++)
    append(&self, i);
  fake_until(&loop, &self.answers, 20);
  bool in_order = came_count == 20;
  for (int i = 0; i < came_count; i++)
    in_order &= came[i] == i;
  tap_ok(self.right == 20 && in_order && self.losses == 1 && is_at(&self, &leader),
         "the leader is asked for all of it, in order: %s", self.message);
  uv_run(&loop, UV_RUN_NOWAIT);
  tap_ok(!follower.has_peer, "and the follower is left");
  finish(&self);
}

static void a_mute_leader(void) {
  program self;
  start(&self);
  leader_is_mute = true;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  append(&self, 0);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.status == PUMP_ENOTLEADER && strcmp(self.leader, "127.0.0.1") == 0,
         "a leader who accepts and says nothing is no leader: %s", self.message);
  leader_is_mute = false;
  append(&self, 1);
  fake_until(&loop, &self.answers, 2);
  tap_ok(self.right == 1, "until it says something");
  finish(&self);
}

static void on_resolve(void *ud, pump_client *client, const char *host, int port) {
  program *self = ud;
  bool is_right = strcmp(host, "10.0.0.9") == 0 && port == 1113;
  self->asked_for++;
  self->code = pump_client_resolved(client, is_right ? "127.0.0.1" : NULL, leader.port);
  if (self->code == 0) self->code = pump_client_resolved(client, "127.0.0.1", 1);
}

static void mapping(void) {
  program self;
  start(&self);
  self.options.resolve = on_resolve;
  self.options.resolve_ud = &self;
  leader_host = "10.0.0.9";
  leader_port = 1113;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  tap_ok(pump_client_resolved(self.client, "127.0.0.1", 1) == PUMP_EINVALID && self.asked_for == 0,
         "the program's own host is not mapped");
  append(&self, 0);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.right == 1 && self.asked_for == 1 && self.code == PUMP_EINVALID &&
             is_at(&self, &leader),
         "the leader is where its address is mapped to, which is told once: %s", self.message);
  finish(&self);

  start(&self);
  self.options.resolve = on_resolve;
  self.options.resolve_ud = &self;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  append(&self, 0);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.status == PUMP_ENOTLEADER && strstr(self.message, "nobody knows its address") &&
             self.losses == 0,
         "one that is mapped to nothing costs no connection: %s", self.message);
  finish(&self);
}

static void closing(void) {
  int wrong = 0;
  for (int turns = 0; turns < 30; turns++) {
    program self;
    start(&self);
    open_client(&self);
    fake_until(&loop, &self.connects, 1);
    append(&self, 0);
    for (int i = 0; i < turns; i++)
      uv_run(&loop, UV_RUN_NOWAIT);
    finish(&self);
    wrong += self.answers != 1 || (self.right == 0 && self.status != PUMP_ECLOSED);
  }
  tap_ok(wrong == 0, "closing at any moment of a move answers everybody once");
}

static void without_memory(void) {
  long at, leaked = 0, lonely = 0;
  for (at = 1;; at++) {
    program self;
    start(&self);
    long alive = starve_alive;
    int asked = 0;
    starve_count = 0;
    starve_at = at;
    bool is_open = open_client(&self) == 0 && fake_until(&loop, &self.connects, 1);
    if (is_open && self.status == 0)
      for (int i = 0; i < 3; i++)
        asked += append(&self, i) == 0;
    fake_until(&loop, &self.answers, asked);
    bool reached = starve_count >= at;
    starve_at = 0;
    lonely += self.answers != asked;
    finish(&self);
    /* The copy of the host is made by libc, uncounted, and freed by us. What the servers have
     * allocated meanwhile is freed, too. */
    leaked += starve_alive - alive + (self.client != NULL) > 0;
    if (!reached) break;
  }
  tap_ok(lonely == 0 && leaked == 0 && at > 15,
         "whichever of %ld allocations fails, everybody is answered and nothing leaks (%ld, %ld)",
         at - 1, lonely, leaked);
}

int main(void) {
  uv_loop_init(&loop);
  moving();
  a_mute_leader();
  mapping();
  closing();
  without_memory();
  uv_loop_close(&loop);
  return tap_done();
}

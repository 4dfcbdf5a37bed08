/* A server with a stream that does what a spec says: it confirms or refuses, answers reads, and
 * pushes what it is told to; and a program that subscribes to that stream. */
#ifndef SPEC_FAKE_STREAM_H
#define SPEC_FAKE_STREAM_H

#include "starve.h"

#include <pump.h>
#include <string.h>

#include "fake_server.h"
#include "slow.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"

static uv_loop_t loop;
static fake_server server;

/* What a server has: a stream of so many events, of which `written` are there. */
static int64_t written;
static pump_tcp_frame subscribed; /* the last SubscribeToStream */
static int subscriptions, unsubscriptions, reads;
static uint8_t subscribe_answer; /* 0: confirmed */
static const char *subscribe_body;
static size_t subscribe_size;
static int push_in_answer; /* events in the same packet as the confirmation */
static int64_t confirms;   /* PUMP_UNKNOWN: the last event written */
static bool drops_in_answer, pushes_before;
static uint64_t patience = 10000; /* ms that an answer may take, however busy the machine is */

static inline void put_number(pump_buffer *body, uint32_t number, int64_t value) {
  size_t size = pump_pb_number_size(number, (uint64_t)value);
  uint8_t *to = pump_buffer_reserve(body, size);
  pump_pb_put_number(to, number, (uint64_t)value);
  pump_buffer_grew(body, size);
}

static inline void put_event(pump_buffer *body, uint32_t number, int64_t index) {
  pump_record record = {.stream = {"ponies", 6},
                        .type = {"Jumped", 6},
                        .data = {"{\"n\":1}", 7},
                        .number = index,
                        .is_json = true};
  pump_tcp_event event = {.record = &record,
                          .position = {1000 + index, 1000 + index},
                          .with_position = number == 1 ? true : false};
  pump_tcp_encode_event(body, number, &event);
}

static inline void push(fake_server *to, const pump_tcp_frame *frame, int64_t index) {
  pump_buffer body = {0};
  put_event(&body, 1, index);
  fake_reply(to, frame, PUMP_TCP_STREAM_EVENT_APPEARED, (char *)body.data, body.size);
  pump_buffer_free(&body);
}

/* Out of a loop turn of the server's own. */
static inline void push_now(int64_t from, int64_t count) {
  starve_state before = starve_pause();
  for (int64_t i = 0; i < count; i++)
    push(&server, &subscribed, from + i);
  fake_flush(&server);
  starve_go_on(before);
}

static inline void drop_now(const char *body, size_t size) {
  fake_reply(&server, &subscribed, PUMP_TCP_SUBSCRIPTION_DROPPED, body, size);
  fake_flush(&server);
}

static inline int64_t field_of(pump_bytes body, uint32_t number) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  int64_t value = 0;
  while (pump_pb_next(&cursor, &field))
    if (field.number == number) value = (int64_t)field.value;
  return value;
}

static inline void answer_read(fake_server *to, const pump_tcp_frame *frame) {
  int64_t from = field_of(frame->payload, 2), until = from + field_of(frame->payload, 3);
  pump_buffer body = {0};
  bool is_end = until >= written;
  if (until > written) until = written;
  for (int64_t i = from; i < until; i++)
    put_event(&body, 1, i);
  put_number(&body, 2, written == 0);
  put_number(&body, 3, written == 0 ? -1 : until);
  put_number(&body, 4, written - 1);
  put_number(&body, 5, is_end);
  fake_reply(to, frame, PUMP_TCP_READ_STREAM_FORWARD_COMPLETED, (char *)body.data, body.size);
  pump_buffer_free(&body);
  reads++;
}

static inline void answer_subscribe(fake_server *to, const pump_tcp_frame *frame) {
  subscribed = *frame;
  subscriptions++;
  if (subscribe_answer != 0) {
    fake_reply(to, frame, subscribe_answer, subscribe_body, subscribe_size);
    return;
  }
  pump_buffer body = {0};
  if (pushes_before) push(to, frame, written);
  put_number(&body, 1, 1000 + written);
  put_number(&body, 2, confirms == PUMP_UNKNOWN ? written - 1 : confirms);
  fake_reply(to, frame, PUMP_TCP_SUBSCRIPTION_CONFIRMATION, (char *)body.data, body.size);
  pump_buffer_free(&body);
  for (; push_in_answer > 0; push_in_answer--)
    push(to, frame, written++);
  if (drops_in_answer) fake_reply(to, frame, PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x01", 2);
}

static inline void answer(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  switch (frame->command) {
  case PUMP_TCP_READ_STREAM_FORWARD: answer_read(to, frame); break;
  case PUMP_TCP_SUBSCRIBE_TO_STREAM: answer_subscribe(to, frame); break;
  case PUMP_TCP_UNSUBSCRIBE_FROM_STREAM:
    unsubscriptions++;
    fake_reply(to, frame, PUMP_TCP_SUBSCRIPTION_DROPPED, NULL, 0);
    break;
  case PUMP_TCP_PING: fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0); break;
  default: break;
  }
}

/* The server has memory enough. */
static inline void on_frame(fake_server *to, const pump_tcp_frame *frame) {
  starve_state before = starve_pause();
  answer(to, frame);
  starve_go_on(before);
}

/* ---- The program -------------------------------------------------------------------------- */

typedef struct program {
  pump_client *client;
  pump_subscription *subscription;
  int64_t got, last, pages, lives, gaps, gap;
  bool in_order;
  bool takes; /* as they come */
  bool closes_itself;
  int ended;
  char message[400];
  size_t taken;
} program;

static inline void on_events(pump_subscription *subscription, pump_page *page, size_t first,
                             void *ud) {
  program *self = ud;
  for (size_t i = first; i < page->count; i++) {
    int64_t number = page->events[i].record->number;
    self->in_order = self->in_order && number == self->last + 1;
    self->last = number;
    self->got++;
  }
  self->pages++;
  if (self->takes) pump_subscription_took(subscription, page->count - first);
  if (self->closes_itself) {
    pump_subscription_close(subscription);
    self->subscription = NULL;
  }
}

static inline void on_live(pump_subscription *subscription, void *ud) {
  program *self = ud;
  if (pump_subscription_state(subscription) == PUMP_SUBSCRIPTION_LIVE) self->lives++;
}

static inline void on_gap(pump_subscription *subscription, int code, void *ud) {
  program *self = ud;
  (void)subscription;
  self->gaps++;
  self->gap = code;
}

static inline void on_ended(pump_subscription *subscription, const pump_result *result, void *ud) {
  program *self = ud;
  self->ended = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
  if (!self->closes_itself) return;
  pump_subscription_close(subscription);
  self->subscription = NULL;
}

static const pump_subscription_events callbacks = {on_events, on_live, on_gap, on_ended, NULL};

static inline void on_connected(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  *(int *)ud = result->status == 0 ? 1 : result->status;
}

static inline int start(program *self, int64_t events) {
  pump_options options;
  int connected = 0;
  uv_loop_init(&loop);
  fake_start(&server, &loop);
  server.on_frame = on_frame;
  written = events;
  subscriptions = unsubscriptions = reads = push_in_answer = 0;
  subscribe_answer = 0;
  confirms = PUMP_UNKNOWN;
  drops_in_answer = pushes_before = false;
  *self = (program){.last = -1, .in_order = true, .takes = true};
  pump_options_init(&options);
  options.port = server.port;
  options.timeout = patience;
  options.reconnect_attempts = 0; /* reconnect_test.c */
  int code = pump_client_new(&self->client, &loop, &options);
  if (code == 0) code = pump_client_connect(self->client, on_connected, &connected);
  while (code == 0 && connected == 0)
    uv_run(&loop, UV_RUN_ONCE);
  return code != 0 ? code : connected == 1 ? 0 : connected;
}

static pump_call call; /* of what is subscribed to */

static inline int subscribe(program *self, const pump_subscribe *how) {
  pump_bytes stream = {"ponies", 6};
  return pump_client_subscribe(&self->subscription, self->client, stream, how, &call, &callbacks,
                               self);
}

static inline void stop(program *self) {
  if (self->subscription) pump_subscription_close(self->subscription);
  fake_stop(&server);
  fake_finish(&loop, self->client);
  if (uv_loop_close(&loop) != 0) tap_ok(false, "nothing is left on the loop");
}

static inline void turn(uint64_t ms) {
  fake_turn(&loop, ms);
}

/* Turns until it has so many events, for half a minute at most. */
static inline bool until_got(program *self, int64_t wanted) {
  uint64_t deadline = uv_hrtime() + (uint64_t)slowness() * UINT64_C(30000000000);
  while (self->got < wanted && self->ended == 0 && uv_hrtime() < deadline)
    turn(2);
  return self->got == wanted && self->in_order;
}

static inline bool until_ended(program *self, int code) {
  for (int i = 0; i < 15000 && self->ended == 0; i++)
    turn(2);
  return self->ended == code;
}

static inline pump_subscribe defaults(void) {
  pump_subscribe how;
  pump_subscribe_init(&how);
  return how;
}

#endif

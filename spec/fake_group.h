/* A server with a group that does what a spec says: it confirms or refuses, pushes what it is told
 * to, and counts what it is answered; and a program with one consumer of that group. */
#ifndef SPEC_FAKE_GROUP_H
#define SPEC_FAKE_GROUP_H

#include "starve.h"

#include <pump.h>
#include <string.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "fake_server.h"
#include "refusals.h"
#include "slow.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { MOST = 4096 };

static uv_loop_t loop;
static fake_server server;

/* What the server has, and what it was told. */
static pump_tcp_frame connected; /* the last ConnectToPersistentSubscription */
static int connections, unsubscriptions, in_flight_allowed;
static uint8_t answer_command; /* to what is asked of a group; 0: nothing */
static const char *answer_body;
static size_t answer_size;
static bool confirms, refuses_to_unsubscribe;
static int push_in_answer, push_before;
static pump_buffer asked; /* the last body that was asked of a group */
static uint8_t asked_command;
static int ack_frames, nack_frames;
static int acked[MOST], nacked[MOST]; /* how often, by number */
static int last_action;
static char last_why[64], last_name[64];
static uint64_t patience = 10000; /* ms that an answer may take, however busy the machine is */

static inline pump_guid id_of(int number) {
  pump_guid id = {{1}};
  memcpy(id.bytes + 8, &number, sizeof number);
  return id;
}

static inline void push(fake_server *to, int number, int retry_count, bool is_link) {
  pump_record record = {.stream = {"ponies", 6},
                        .type = {"Jumped", 6},
                        .data = {"{\"n\":1}", 7},
                        .number = number,
                        .id = id_of(number),
                        .is_json = true};
  pump_record target = {.stream = {"others", 6}, .type = {"Jumped", 6}, .id = {{7}}};
  pump_tcp_event event = {.record = is_link ? &target : &record, .link = is_link ? &record : NULL};
  pump_buffer body = {0};
  pump_tcp_encode_event(&body, 1, &event);
  size_t size = pump_pb_number_size(2, (uint64_t)retry_count);
  uint8_t *at = pump_buffer_reserve(&body, size);
  pump_pb_put_number(at, 2, (uint64_t)retry_count);
  pump_buffer_grew(&body, size);
  fake_reply(to, &connected, PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, (char *)body.data,
             body.size);
  pump_buffer_free(&body);
}

/* Out of a loop turn of the server's own, and with memory enough. */
static inline void push_now(int from, int count, int retry_count) {
  starve_state before = starve_pause();
  for (int i = 0; i < count; i++)
    push(&server, from + i, retry_count, false);
  fake_flush(&server);
  starve_go_on(before);
}

static inline void drop_now(const char *body, size_t size) {
  fake_reply(&server, &connected, PUMP_TCP_SUBSCRIPTION_DROPPED, body, size);
  fake_flush(&server);
}

static inline void count_ids(const ProtobufCBinaryData *ids, size_t count, int *times) {
  for (size_t i = 0; i < count; i++) {
    pump_guid id;
    int number;
    if (ids[i].len != 16) continue;
    pump_guid_from_net(&id, ids[i].data);
    memcpy(&number, id.bytes + 8, sizeof number);
    if (number >= 0 && number < MOST) times[number]++;
  }
}

static inline void keep(char *to, ProtobufCBinaryData text) {
  snprintf(to, 64, "%.*s", (int)text.len, (const char *)text.data);
}

static inline void take_answers(const pump_tcp_frame *frame) {
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  if (frame->command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS) {
    const PumpTcp__PersistentSubscriptionAckEvents *acks = (const void *)message;
    count_ids(acks->processed_event_ids, acks->n_processed_event_ids, acked);
    keep(last_name, acks->subscription_id);
    ack_frames++;
  } else {
    const PumpTcp__PersistentSubscriptionNakEvents *nacks = (const void *)message;
    count_ids(nacks->processed_event_ids, nacks->n_processed_event_ids, nacked);
    keep(last_name, nacks->subscription_id);
    keep(last_why, nacks->message);
    last_action = (int)nacks->action;
    nack_frames++;
  }
  pump_tcp_unpack_free(message);
}

static inline void answer_connect(fake_server *to, const pump_tcp_frame *frame) {
  static const char name[] = "\x08\x07\x12\x0aponies::g1";
  connected = *frame;
  connections++;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  in_flight_allowed = ((const PumpTcp__ConnectToPersistentSubscription *)(const void *)message)
                          ->allowed_in_flight_messages;
  pump_tcp_unpack_free(message);
  if (answer_command != 0) fake_reply(to, frame, answer_command, answer_body, answer_size);
  if (!confirms) return;
  for (int i = 0; i < push_before; i++)
    push(to, 100 + i, 0, false);
  fake_reply(to, frame, PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION, name, sizeof name - 1);
  for (int i = 0; i < push_in_answer; i++)
    push(to, i, 0, false);
}

static inline void answer(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  switch (frame->command) {
  case PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION: answer_connect(to, frame); break;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS:
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: take_answers(frame); break;
  case PUMP_TCP_UNSUBSCRIBE_FROM_STREAM:
    unsubscriptions++;
    if (refuses_to_unsubscribe)
      fake_reply(to, frame, PUMP_TCP_NOT_HANDLED, "\x08\x01", 2);
    else
      fake_reply(to, frame, PUMP_TCP_SUBSCRIPTION_DROPPED, NULL, 0);
    break;
  default:
    asked_command = frame->command;
    pump_buffer_clear(&asked);
    pump_buffer_append(&asked, frame->payload.data, frame->payload.size);
    if (answer_command != 0) fake_reply(to, frame, answer_command, answer_body, answer_size);
  }
}

static inline void on_frame(fake_server *to, const pump_tcp_frame *frame) {
  starve_state before = starve_pause();
  answer(to, frame);
  starve_go_on(before);
}

/* ---- The program -------------------------------------------------------------------------- */

typedef struct program {
  pump_client *client;
  pump_consumer *consumer;
  int got, pages, lives, losts, lost, lost_in, ended, retries;
  int numbers[MOST]; /* in the order in which they came */
  pump_guid ids[MOST];
  bool takes, acks, closes_itself;
  char message[400];
} program;

static inline void on_events(pump_consumer *consumer, pump_page *page, size_t first, void *ud) {
  program *self = ud;
  for (size_t i = first; i < page->count && self->got < MOST; i++) {
    const pump_event *event = &page->events[i];
    self->ids[self->got] = pump_event_id(event);
    memcpy(&self->numbers[self->got], self->ids[self->got].bytes + 8, sizeof(int));
    self->retries = event->retry_count;
    if (self->acks) pump_consumer_ack(consumer, &self->ids[self->got], 1);
    self->got++;
  }
  self->pages++;
  if (self->takes) pump_consumer_took(consumer, page->count - first);
  if (!self->closes_itself) return;
  pump_consumer_close(consumer);
  self->consumer = NULL;
}

static inline void on_live(pump_consumer *consumer, void *ud) {
  if (pump_consumer_state(consumer) == PUMP_SUBSCRIPTION_LIVE) ((program *)ud)->lives++;
}

static inline void on_lost(pump_consumer *consumer, int code, void *ud) {
  program *self = ud;
  (void)consumer;
  self->losts++;
  self->lost = code;
  self->lost_in = pump_client_state(self->client);
}

static inline void on_ended(pump_consumer *consumer, const pump_result *result, void *ud) {
  program *self = ud;
  (void)consumer;
  self->ended = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
}

static const pump_consumer_events callbacks = {on_events, on_live, on_lost, on_ended};

static inline void on_result(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  self->ended = result->status == 0 ? 1 : result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
}

static inline int start(program *self) {
  pump_options options;
  uv_loop_init(&loop);
  fake_start(&server, &loop);
  server.on_frame = on_frame;
  connections = unsubscriptions = push_in_answer = push_before = ack_frames = nack_frames = 0;
  answer_command = 0;
  confirms = true;
  refuses_to_unsubscribe = false;
  memset(acked, 0, sizeof acked);
  memset(nacked, 0, sizeof nacked);
  last_name[0] = last_why[0] = '\0';
  *self = (program){.takes = true};
  pump_options_init(&options);
  options.port = server.port;
  options.timeout = patience;
  options.reconnect_delay = 20;
  options.reconnect_attempts = 1;
  int code = pump_client_new(&self->client, &loop, &options);
  if (code == 0) code = pump_client_connect(self->client, on_result, self);
  while (code == 0 && self->ended == 0)
    uv_run(&loop, UV_RUN_ONCE);
  if (self->ended != 1) return code != 0 ? code : self->ended;
  self->ended = 0;
  return 0;
}

static inline int consume(program *self, int buffer_size) {
  return pump_client_consume(&self->consumer, self->client, pump_bytes_of("g1"),
                             pump_bytes_of("ponies"), buffer_size, NULL, &callbacks, self);
}

static inline void stop(program *self) {
  if (self->consumer) pump_consumer_close(self->consumer);
  fake_stop(&server);
  fake_finish(&loop, self->client);
  if (uv_loop_close(&loop) != 0) tap_ok(false, "nothing is left on the loop");
}

static inline void turn(uint64_t ms) {
  fake_turn(&loop, ms);
}

/* Turns until *what is that much, or more, or another error than that; for half a minute at most. */
static inline bool until(const int *what, int wanted) {
  uint64_t deadline = uv_hrtime() + UINT64_C(30000000000) * (unsigned)slowness();
  while ((wanted < 0 ? *what == 0 : *what < wanted) && uv_hrtime() < deadline)
    turn(1);
  return *what == wanted;
}

static inline int total(const int *times, int count) {
  int sum = 0;
  for (int i = 0; i < count; i++)
    sum += times[i];
  return sum;
}

#endif

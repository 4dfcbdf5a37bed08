/* Groups and their consumers against a server that pushes what a spec tells it to: settings on the
 * wire, answers sent together, flow, and each way in which it ends or goes on. */
#include "starve.h"

#include <pump.h>
#include <string.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "fake_server.h"
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
static bool confirms;
static int push_in_answer;
static pump_buffer asked; /* the last body that was asked of a group */
static uint8_t asked_command;
static int ack_frames, nack_frames;
static int acked[MOST], nacked[MOST]; /* how often, by number */
static int last_action;
static char last_why[64], last_name[64];

static pump_guid id_of(int number) {
  pump_guid id = {{1}};
  memcpy(id.bytes + 8, &number, sizeof number);
  return id;
}

static void push(fake_server *to, int number, int retry_count, bool is_link) {
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
static void push_now(int from, int count, int retry_count) {
  long at = starve_at, so_far = starve_count;
  starve_at = 0;
  for (int i = 0; i < count; i++)
    push(&server, from + i, retry_count, false);
  fake_flush(&server);
  starve_at = at;
  starve_count = so_far;
}

static void drop_now(const char *body, size_t size) {
  fake_reply(&server, &connected, PUMP_TCP_SUBSCRIPTION_DROPPED, body, size);
  fake_flush(&server);
}

static void count_ids(const ProtobufCBinaryData *ids, size_t count, int *times) {
  for (size_t i = 0; i < count; i++) {
    pump_guid id;
    int number;
    if (ids[i].len != 16) continue;
    pump_guid_from_net(&id, ids[i].data);
    memcpy(&number, id.bytes + 8, sizeof number);
    if (number >= 0 && number < MOST) times[number]++;
  }
}

static void keep(char *to, ProtobufCBinaryData text) {
  snprintf(to, 64, "%.*s", (int)text.len, (const char *)text.data);
}

static void take_answers(const pump_tcp_frame *frame) {
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

static void answer_connect(fake_server *to, const pump_tcp_frame *frame) {
  static const char name[] = "\x08\x07\x12\x0aponies::g1";
  connected = *frame;
  connections++;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  in_flight_allowed = ((const PumpTcp__ConnectToPersistentSubscription *)(const void *)message)
                          ->allowed_in_flight_messages;
  pump_tcp_unpack_free(message);
  if (answer_command != 0) fake_reply(to, frame, answer_command, answer_body, answer_size);
  if (!confirms) return;
  fake_reply(to, frame, PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION, name, sizeof name - 1);
  for (int i = 0; i < push_in_answer; i++)
    push(to, i, 0, false);
}

static void answer(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  switch (frame->command) {
  case PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION: answer_connect(to, frame); break;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS:
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: take_answers(frame); break;
  case PUMP_TCP_UNSUBSCRIBE_FROM_STREAM:
    unsubscriptions++;
    fake_reply(to, frame, PUMP_TCP_SUBSCRIPTION_DROPPED, NULL, 0);
    break;
  default:
    asked_command = frame->command;
    pump_buffer_clear(&asked);
    pump_buffer_append(&asked, frame->payload.data, frame->payload.size);
    if (answer_command != 0) fake_reply(to, frame, answer_command, answer_body, answer_size);
  }
}

static void on_frame(fake_server *to, const pump_tcp_frame *frame) {
  long at = starve_at, count = starve_count;
  starve_at = 0;
  answer(to, frame);
  starve_at = at;
  starve_count = count;
}

/* ---- The program -------------------------------------------------------------------------- */

typedef struct program {
  pump_client *client;
  pump_consumer *consumer;
  int got, pages, lives, losts, lost, ended, retries;
  int numbers[MOST]; /* in the order in which they came */
  pump_guid ids[MOST];
  bool takes, acks, closes_itself;
  char message[400];
} program;

static void on_events(pump_consumer *consumer, pump_page *page, size_t first, void *ud) {
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

static void on_live(pump_consumer *consumer, void *ud) {
  if (pump_consumer_state(consumer) == PUMP_SUBSCRIPTION_LIVE) ((program *)ud)->lives++;
}

static void on_lost(pump_consumer *consumer, int code, void *ud) {
  program *self = ud;
  (void)consumer;
  self->losts++;
  self->lost = code;
}

static void on_ended(pump_consumer *consumer, const pump_result *result, void *ud) {
  program *self = ud;
  (void)consumer;
  self->ended = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
}

static const pump_consumer_events callbacks = {on_events, on_live, on_lost, on_ended};

static void on_result(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  self->ended = result->status == 0 ? 1 : result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
}

static int start(program *self) {
  pump_options options;
  uv_loop_init(&loop);
  fake_start(&server, &loop);
  server.on_frame = on_frame;
  connections = unsubscriptions = push_in_answer = ack_frames = nack_frames = 0;
  answer_command = 0;
  confirms = true;
  memset(acked, 0, sizeof acked);
  memset(nacked, 0, sizeof nacked);
  last_name[0] = last_why[0] = '\0';
  *self = (program){.takes = true};
  pump_options_init(&options);
  options.port = server.port;
  options.timeout = 300;
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

static int consume(program *self, int buffer_size) {
  return pump_client_consume(&self->consumer, self->client, pump_bytes_of("g1"),
                             pump_bytes_of("ponies"), buffer_size, NULL, &callbacks, self);
}

static void on_closed(void *ud) {
  *(bool *)ud = true;
}

static void stop(program *self) {
  bool closed = false;
  if (self->consumer) pump_consumer_close(self->consumer);
  if (self->client) pump_client_close(self->client, on_closed, &closed);
  fake_stop(&server);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (uv_loop_close(&loop) != 0 || (self->client && !closed))
    tap_ok(false, "closing leaves nothing open");
}

static void on_time(uv_timer_t *timer) {
  *(bool *)timer->data = true;
}

static void turn(uint64_t ms) {
  uv_timer_t timer;
  bool over = false;
  uv_timer_init(&loop, &timer);
  timer.data = &over;
  uv_update_time(&loop);
  uv_timer_start(&timer, on_time, ms, 0);
  while (!over)
    uv_run(&loop, UV_RUN_ONCE);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_NOWAIT);
}

/* Turns until *what is that much, for two seconds at most. */
static bool until(const int *what, int wanted) {
  uint64_t deadline = uv_hrtime() + UINT64_C(2000000000);
  while (*what != wanted && uv_hrtime() < deadline)
    turn(1);
  return *what == wanted;
}

static int total(const int *times, int count) {
  int sum = 0;
  for (int i = 0; i < count; i++)
    sum += times[i];
  return sum;
}

/* ---- Groups ------------------------------------------------------------------------------- */

static void settings_on_the_wire(void) {
  program self;
  pump_group_settings settings;
  start(&self);
  answer_command = PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  pump_group_settings_init(&settings);
  pump_client_create_group(self.client, pump_bytes_of("g1"), pump_bytes_of("ponies"), &settings,
                           NULL, on_result, &self);
  bool done = until(&self.ended, 1);
  pump_bytes body = {(const char *)asked.data, asked.size};
  ProtobufCMessage *message = pump_tcp_unpack(asked_command, body);
  const PumpTcp__CreatePersistentSubscription *sent = (const void *)message;
  tap_ok(done && asked_command == PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION &&
             pump_bytes_is(pump_tcp_view(sent->subscription_group_name), "g1") &&
             pump_bytes_is(pump_tcp_view(sent->event_stream_id), "ponies") &&
             !sent->resolve_link_tos && sent->start_from == -1 &&
             sent->message_timeout_milliseconds == 30000 && !sent->record_statistics &&
             sent->live_buffer_size == 500 && sent->read_batch_size == 20 &&
             sent->buffer_size == 500 && sent->max_retry_count == 10 && sent->prefer_round_robin &&
             sent->checkpoint_after_time == 2000 && sent->checkpoint_max_count == 1000 &&
             sent->checkpoint_min_count == 10 && sent->subscriber_max_count == 0 &&
             pump_bytes_is(pump_tcp_view(sent->named_consumer_strategy), "RoundRobin"),
         "the defaults are those of the .NET client");
  tap_ok(sent->has_resolve_link_tos && sent->has_record_statistics &&
             sent->has_subscriber_max_count && sent->has_start_from,
         "and all fields are there, as old servers demand");
  pump_tcp_unpack_free(message);

  self.ended = 0;
  answer_command = PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  settings = (pump_group_settings){true, 7, 0, true, 1, 2, 3, 0, 9, 10, 11, 12, "Pinned"};
  pump_client_update_group(self.client, pump_bytes_of("g1"), pump_bytes_of("ponies"), &settings,
                           NULL, on_result, &self);
  done = until(&self.ended, 1);
  body = (pump_bytes){(const char *)asked.data, asked.size};
  message = pump_tcp_unpack(asked_command, body);
  const PumpTcp__UpdatePersistentSubscription *update = (const void *)message;
  tap_ok(done && update->resolve_link_tos && update->start_from == 7 &&
             update->message_timeout_milliseconds == 0 && update->record_statistics &&
             update->live_buffer_size == 1 && update->read_batch_size == 2 &&
             update->buffer_size == 3 && update->max_retry_count == 0 &&
             !update->prefer_round_robin && update->checkpoint_after_time == 9 &&
             update->checkpoint_min_count == 10 && update->checkpoint_max_count == 11 &&
             update->subscriber_max_count == 12 &&
             pump_bytes_is(pump_tcp_view(update->named_consumer_strategy), "Pinned"),
         "an update says all that it is told");
  pump_tcp_unpack_free(message);
  stop(&self);
}

static void outcomes_of_groups(void) {
  static const struct {
    const char *what, *body;
    size_t size;
    int create, other;
  } cases[] = {
      {"success", "\x08\x00", 2, 1, 1},
      {"success of a server of proto3", NULL, 0, 1, 1},
      {"it is there, or is not", "\x08\x01\x12\x05No, g", 9, PUMP_EEXISTS, PUMP_ENOGROUP},
      {"failed", "\x08\x02\x12\x05No, g", 9, PUMP_ESUBSCRIBE, PUMP_ESUBSCRIBE},
      {"access denied", "\x08\x03\x12\x00", 4, PUMP_EACCESS, PUMP_EACCESS},
      {"a result that nobody knows", "\x08\x09", 2, PUMP_EPROTOCOL, PUMP_EPROTOCOL},
      {"nonsense", "\xff", 1, PUMP_EPROTOCOL, PUMP_EPROTOCOL},
  };
  program self;
  pump_group_settings settings;
  pump_bytes group = pump_bytes_of("g\n1"), stream = pump_bytes_of("ponies");
  pump_group_settings_init(&settings);
  start(&self);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int came[3];
    answer_body = cases[i].body;
    answer_size = cases[i].size;
    for (int kind = 0; kind < 3; kind++) {
      static const uint8_t commands[] = {PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED,
                                         PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED,
                                         PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED};
      int expected = kind == 0 ? cases[i].create : cases[i].other;
      answer_command = commands[kind];
      self.ended = 0;
      if (kind == 0)
        pump_client_create_group(self.client, group, stream, &settings, NULL, on_result, &self);
      else if (kind == 1)
        pump_client_update_group(self.client, group, stream, &settings, NULL, on_result, &self);
      else
        pump_client_delete_group(self.client, group, stream, NULL, on_result, &self);
      until(&self.ended, expected);
      came[kind] = self.ended == expected && !strchr(self.message, '\n');
    }
    tap_ok(came[0] && came[1] && came[2], "%s: %s", cases[i].what, self.message);
  }
  stop(&self);
}

static void settings_that_make_no_sense(void) {
  program self;
  pump_group_settings good, bad[9];
  pump_bytes g = pump_bytes_of("g"), s = pump_bytes_of("s"), none = {0};
  int refused = 0;
  start(&self);
  pump_group_settings_init(&good);
  for (size_t i = 0; i < 9; i++)
    bad[i] = good;
  bad[0].from = -2;
  bad[1].message_timeout = UINT64_C(1) << 31;
  bad[2].checkpoint_after = UINT64_MAX;
  bad[3].live_buffer_size = 0;
  bad[4].read_batch_size = 0;
  bad[5].buffer_size = 20; /* no room for a batch */
  bad[6].max_retry_count = -1;
  bad[7].checkpoint_max_count = -1;
  bad[8].subscriber_max_count = -1;
  for (size_t i = 0; i < 9; i++)
    refused += pump_client_create_group(self.client, g, s, &bad[i], NULL, on_result, &self) ==
               PUMP_EINVALID;
  tap_ok(refused == 9, "settings that make no sense are refused (%d of 9)", refused);
  tap_ok(
      pump_client_create_group(self.client, none, s, &good, NULL, on_result, &self) ==
              PUMP_EINVALID &&
          pump_client_delete_group(self.client, g, none, NULL, on_result, &self) == PUMP_EINVALID &&
          pump_client_consume(&self.consumer, self.client, none, s, 0, NULL, &callbacks, &self) ==
              PUMP_EINVALID &&
          pump_client_consume(&self.consumer, self.client, g, s, -1, NULL, &callbacks, &self) ==
              PUMP_EINVALID,
      "and so is what has no name");
  stop(&self);
}

/* ---- Consumers ---------------------------------------------------------------------------- */

static void events_and_answers(void) {
  program self;
  start(&self);
  push_in_answer = 10;
  tap_ok(consume(&self, 0) == 0 && self.got == 0, "nothing is called from inside the call");
  bool came = until(&self.got, 10);
  tap_ok(came && in_flight_allowed == 10 && self.lives == 1 && self.pages == 1,
         "events come with the confirmation, 10 in flight by default");
  pump_consumer_ack(self.consumer, self.ids, 4);
  turn(2);
  int early = ack_frames;
  turn(30);
  tap_ok(early == 0 && ack_frames == 1 && total(acked, 10) == 4, "four acks wait for others");
  pump_consumer_ack(self.consumer, self.ids + 4, 1);
  pump_consumer_nack(self.consumer, self.ids + 5, 2, PUMP_NACK_PARK, pump_bytes_of("odd"));
  pump_consumer_nack(self.consumer, self.ids + 7, 1, PUMP_NACK_PARK, pump_bytes_of("odd"));
  pump_consumer_nack(self.consumer, self.ids + 8, 1, PUMP_NACK_RETRY, pump_bytes_of("later"));
  bool sent = until(&nack_frames, 2);
  tap_ok(sent && ack_frames == 2 && total(nacked, 10) == 4 && last_action == PUMP_NACK_RETRY &&
             strcmp(last_why, "later") == 0 && strcmp(last_name, "ponies::g1") == 0,
         "nacks that say the same share a message, under the server's name");
  pump_consumer_ack(self.consumer, self.ids, 10);
  until(&acked[9], 1);
  tap_ok(total(acked, 10) == 6 && acked[9] == 1, "what was answered is not answered again");
  push_now(20, 3, 2);
  push(&server, 23, 1, true);
  fake_flush(&server);
  came = until(&self.got, 14);
  tap_ok(came && self.retries == 1 && self.numbers[13] == 23,
         "an event has its retry count, and a link its own id");
  pump_consumer_ack(self.consumer, self.ids + 10, 3);
  pump_consumer_ack(self.consumer, self.ids + 13, 1);
  pump_consumer_close(self.consumer);
  self.consumer = NULL;
  until(&unsubscriptions, 1);
  tap_ok(unsubscriptions == 1 && total(acked + 20, 4) == 4, "closing sends what waits");
  push_now(30, 3, 0);
  turn(5);
  tap_ok(self.got == 14 && self.ended == 0, "what is pushed after that goes nowhere");
  stop(&self);
}

static void flow(void) {
  program self;
  start(&self);
  self.takes = false;
  consume(&self, 4);
  until(&self.lives, 1);
  push_now(0, 2, 0);
  until(&self.got, 2);
  push_now(2, 2, 0);
  turn(10);
  tap_ok(self.got == 2, "who has not taken what he has gets no more");
  /* The time of all four is over at the server, which sends them again, and others. */
  push_now(0, 4, 1);
  push_now(4, 2, 0);
  turn(10);
  pump_consumer_took(self.consumer, 2);
  bool came = until(&self.got, 6);
  tap_ok(came && self.numbers[2] == 2 && self.numbers[3] == 3 && self.numbers[4] == 4 &&
             self.numbers[5] == 5,
         "of more than its buffer it gets the newest");
  pump_consumer_ack(self.consumer, self.ids, 6);
  until(&acked[5], 1);
  tap_ok(total(acked, 6) == 4 && acked[0] == 0 && acked[1] == 0,
         "and what the server has given up is not answered");
  for (int i = 0; i < 500; i++)
    push(&server, i % MOST, 0, false);
  fake_flush(&server);
  turn(30);
  self.takes = true;
  pump_consumer_took(self.consumer, 4);
  turn(30);
  tap_ok(self.got <= 6 + 8 && self.numbers[self.got - 1] == 499,
         "a server that keeps to nothing costs four events (%d came)", self.got - 6);
  stop(&self);
}

static void many_answers(void) {
  program self;
  start(&self);
  self.acks = true;
  consume(&self, 3000);
  until(&self.lives, 1);
  push_now(0, 3000, 0);
  bool came = until(&self.got, 3000);
  turn(30);
  tap_ok(came && total(acked, MOST) == 3000 && ack_frames <= 60,
         "3000 acks in %d messages, each of them once", ack_frames);
  stop(&self);

  start(&self);
  consume(&self, 3000);
  until(&self.lives, 1);
  push_now(0, 3000, 0);
  until(&self.got, 3000);
  pump_consumer_ack(self.consumer, self.ids, 3000);
  turn(30);
  tap_ok(total(acked, MOST) == 3000 && ack_frames == 2, "a message has 2000 ids at most");
  stop(&self);
}

static void drops(void) {
  program self;
  start(&self);
  consume(&self, 10);
  until(&self.lives, 1);
  push_now(0, 3, 0);
  until(&self.got, 3);
  pump_consumer_ack(self.consumer, self.ids, 1);
  drop_now(NULL, 0);
  until(&self.lives, 2);
  tap_ok(self.ended == 0 && connections == 2 && self.losts == 1 && self.lost == PUMP_EDROPPED,
         "dropped without having asked, it connects again");
  pump_consumer_ack(self.consumer, self.ids, 3);
  turn(30);
  tap_ok(total(acked, 3) == 0, "answers to what came before are not sent");
  push_now(1, 2, 1);
  until(&self.got, 5);
  pump_consumer_ack(self.consumer, self.ids, 3);
  until(&acked[2], 1);
  tap_ok(total(acked, 3) == 2, "but of what has come again");

  confirms = false;
  answer_command = PUMP_TCP_SUBSCRIPTION_DROPPED;
  answer_body = "\x08\x02";
  answer_size = 2;
  drop_now("\x08\x00", 2);
  until(&self.ended, PUMP_ENOGROUP);
  tap_ok(self.ended == PUMP_ENOGROUP, "the group is gone: %s", self.message);
  tap_ok(pump_consumer_ack(self.consumer, self.ids, 1) == PUMP_ECLOSED &&
             pump_consumer_state(self.consumer) == PUMP_SUBSCRIPTION_CLOSED,
         "then an ack is refused");
  stop(&self);

  static const struct {
    const char *what, *body;
    int code;
  } cases[] = {{"access lost", "\x08\x01", PUMP_EACCESS},
               {"the group was deleted", "\x08\x03", PUMP_ENOGROUP}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start(&self);
    consume(&self, 10);
    until(&self.lives, 1);
    drop_now(cases[i].body, 2);
    until(&self.ended, cases[i].code);
    tap_ok(self.ended == cases[i].code && connections == 1, "%s: %s", cases[i].what, self.message);
    stop(&self);
  }

  start(&self);
  consume(&self, 10);
  until(&self.lives, 1);
  confirms = false;
  answer_command = PUMP_TCP_SUBSCRIPTION_DROPPED;
  answer_body = "\x08\x04";
  answer_size = 2;
  drop_now(NULL, 0);
  turn(120);
  int tried = connections;
  confirms = true;
  answer_command = 0;
  tap_ok(tried > 1 && until(&self.lives, 2) && self.ended == 0,
         "a full group is asked again, as our old place may be counted still");
  stop(&self);
}

static void refusals(void) {
  static const struct {
    const char *what;
    uint8_t command;
    const char *body;
    size_t size;
    int code;
  } cases[] = {
      {"access denied", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x01", 2, PUMP_EACCESS},
      {"no such group", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x02", 2, PUMP_ENOGROUP},
      {"too many", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x04", 2, PUMP_EMAXSUBSCRIBERS},
      {"a drop without a body", PUMP_TCP_SUBSCRIPTION_DROPPED, NULL, 0, PUMP_EDROPPED},
      {"a bad request", PUMP_TCP_BAD_REQUEST, "what?", 5, PUMP_EBADREQUEST},
      {"nonsense", PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION, "\xff\xff", 2, PUMP_EPROTOCOL},
      {"another answer", PUMP_TCP_SUBSCRIPTION_CONFIRMATION, NULL, 0, PUMP_EPROTOCOL},
      {"silence", PUMP_TCP_HEARTBEAT_RESPONSE, NULL, 0, PUMP_ETIMEOUT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    program self;
    start(&self);
    confirms = false;
    answer_command = cases[i].command;
    answer_body = cases[i].body;
    answer_size = cases[i].size;
    consume(&self, 0);
    bool as_told = until(&self.ended, cases[i].code);
    tap_ok(as_told && strstr(self.message, "g1") && !strchr(self.message, '\n'), "%s: %s, %s",
           cases[i].what, pump_error_name(self.ended), self.message);
    tap_ok(pump_client_state(self.client) == PUMP_STATE_CONNECTED && self.lives == 0,
           "%s: the connection lives on", cases[i].what);
    stop(&self);
  }
}

static void odd_pushes(void) {
  program self;
  start(&self);
  consume(&self, 10);
  until(&self.lives, 1);
  fake_reply(&server, &connected, PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, NULL, 0);
  push_now(1, 1, 0);
  until(&self.got, 1);
  tap_ok(self.got == 1 && self.numbers[0] == 1, "a push without an event is none");
  fake_reply(&server, &connected, PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, "\x0a\x7f", 2);
  fake_flush(&server);
  until(&self.ended, PUMP_EPROTOCOL);
  turn(5);
  tap_ok(self.ended == PUMP_EPROTOCOL && unsubscriptions == 1,
         "one that cannot be read ends it, at the server too: %s", self.message);
  stop(&self);
}

static void endings(void) {
  program self;
  start(&self);
  consume(&self, 10);
  until(&self.lives, 1);
  push_now(0, 3, 0);
  until(&self.got, 3);
  pump_consumer_ack(self.consumer, self.ids, 1);
  fake_hang_up(&server);
  until(&self.lives, 2);
  tap_ok(self.ended == 0 && connections == 2 && self.losts == 1 && self.lost == PUMP_ECLOSED,
         "with the next connection it connects again");
  push_now(0, 3, 1);
  until(&self.got, 6);
  pump_consumer_ack(self.consumer, self.ids, 3);
  until(&acked[2], 1);
  tap_ok(total(acked, 3) == 3, "and answers there what came there");
  fake_refuse(&server);
  fake_hang_up(&server);
  until(&self.ended, PUMP_ECLOSED);
  tap_ok(self.ended == PUMP_ECLOSED, "when there is no other one, that ends it: %s", self.message);
  pump_consumer_close(self.consumer);
  tap_ok(consume(&self, 10) == PUMP_ECLOSED, "and no other begins then");
  stop(&self);

  start(&self);
  self.closes_itself = self.acks = true;
  push_in_answer = 5;
  consume(&self, 10);
  until(&unsubscriptions, 1);
  tap_ok(self.got == 5 && !self.consumer && total(acked, 5) == 5,
         "a callback may close it, with its acks");
  stop(&self);

  start(&self);
  push_in_answer = 5;
  consume(&self, 10);
  until(&self.got, 5);
  pump_consumer_ack(self.consumer, self.ids, 2);
  pump_client_close(self.client, NULL, NULL);
  self.client = NULL;
  turn(30);
  tap_ok(self.ended == PUMP_ECLOSED && total(acked, 5) == 2,
         "closing the client ends it, but sends its acks");
  stop(&self);
}

/* ---- Without memory ----------------------------------------------------------------------- */

/* Says it again, as long as it was not heard. */
static void ack_all(program *self, int wanted) {
  for (int i = 0; i < 500 && self->ended == 0 && total(acked, wanted) < wanted; i++) {
    turn(1);
    if (self->ended == 0) pump_consumer_ack(self->consumer, self->ids, (size_t)self->got);
  }
}

/* It ends, or goes on as if nothing was, or gets its events again; it never leaks. */
static void without_memory(void) {
  long allocations = 0, ended = 0, whole = 0, wrong = 0, growth = 0;
  for (long at = 0; wrong == 0; at++) {
    program self;
    long alive = starve_alive;
    int code = start(&self);
    push_in_answer = 10;
    self.acks = true;
    starve_count = 0;
    starve_at = at;
    if (code == 0) code = consume(&self, 10);
    if (code == 0) ack_all(&self, 10);
    if (code == 0 && self.ended == 0) push_now(10, 3, 0);
    if (code == 0) ack_all(&self, 13);
    bool reached = starve_count >= at;
    starve_at = 0;
    bool is_whole = code == 0 && self.ended == 0 && total(acked, 10) >= 10;
    if (code == 0 && self.ended == 0 && !is_whole) wrong = at;
    whole += is_whole;
    ended += self.ended != 0;
    stop(&self);
    if (at == 0)
      growth = starve_alive - alive;
    else if (starve_alive - alive != growth)
      wrong = at;
    allocations = at;
    if (!reached && at > 0) break;
  }
  tap_ok(wrong == 0,
         "of %ld allocations each failed in turn: %ld ended it, %ld did not (wrong: %ld)",
         allocations, ended, whole, wrong);
}

int main(void) {
  settings_on_the_wire();
  outcomes_of_groups();
  settings_that_make_no_sense();
  events_and_answers();
  flow();
  many_answers();
  drops();
  refusals();
  odd_pushes();
  endings();
  without_memory();
  pump_buffer_free(&asked);
  return tap_done();
}

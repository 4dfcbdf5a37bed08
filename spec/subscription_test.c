/* Subscriptions of a client against a server that pushes what a spec tells it to: the frames of a
 * subscription's life, flow control, and what becomes of it when something fails. */
#include "slow.h"
#include "starve.h"

#include <pump.h>
#include <string.h>

#include "fake_server.h"
#include "refusals.h"
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

static void put_number(pump_buffer *body, uint32_t number, int64_t value) {
  size_t size = pump_pb_number_size(number, (uint64_t)value);
  uint8_t *to = pump_buffer_reserve(body, size);
  pump_pb_put_number(to, number, (uint64_t)value);
  pump_buffer_grew(body, size);
}

static void put_event(pump_buffer *body, uint32_t number, int64_t index) {
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

static void push(fake_server *to, const pump_tcp_frame *frame, int64_t index) {
  pump_buffer body = {0};
  put_event(&body, 1, index);
  fake_reply(to, frame, PUMP_TCP_STREAM_EVENT_APPEARED, (char *)body.data, body.size);
  pump_buffer_free(&body);
}

/* Out of a loop turn of the server's own. */
static void push_now(int64_t from, int64_t count) {
  starve_state before = starve_pause();
  for (int64_t i = 0; i < count; i++)
    push(&server, &subscribed, from + i);
  fake_flush(&server);
  starve_go_on(before);
}

static void drop_now(const char *body, size_t size) {
  fake_reply(&server, &subscribed, PUMP_TCP_SUBSCRIPTION_DROPPED, body, size);
  fake_flush(&server);
}

static int64_t field_of(pump_bytes body, uint32_t number) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  int64_t value = 0;
  while (pump_pb_next(&cursor, &field))
    if (field.number == number) value = (int64_t)field.value;
  return value;
}

static void answer_read(fake_server *to, const pump_tcp_frame *frame) {
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

static void answer_subscribe(fake_server *to, const pump_tcp_frame *frame) {
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

static void answer(fake_server *to, const pump_tcp_frame *frame) {
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
static void on_frame(fake_server *to, const pump_tcp_frame *frame) {
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

static void on_events(pump_subscription *subscription, pump_page *page, size_t first, void *ud) {
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

static void on_live(pump_subscription *subscription, void *ud) {
  program *self = ud;
  if (pump_subscription_state(subscription) == PUMP_SUBSCRIPTION_LIVE) self->lives++;
}

static void on_gap(pump_subscription *subscription, int code, void *ud) {
  program *self = ud;
  (void)subscription;
  self->gaps++;
  self->gap = code;
}

static void on_ended(pump_subscription *subscription, const pump_result *result, void *ud) {
  program *self = ud;
  self->ended = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
  if (!self->closes_itself) return;
  pump_subscription_close(subscription);
  self->subscription = NULL;
}

static const pump_subscription_events callbacks = {on_events, on_live, on_gap, on_ended, NULL};

static void on_connected(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  *(int *)ud = result->status == 0 ? 1 : result->status;
}

static int start(program *self, int64_t events) {
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
  options.timeout = 300;
  options.reconnect_attempts = 0; /* reconnect_test.c */
  int code = pump_client_new(&self->client, &loop, &options);
  if (code == 0) code = pump_client_connect(self->client, on_connected, &connected);
  while (code == 0 && connected == 0)
    uv_run(&loop, UV_RUN_ONCE);
  return code != 0 ? code : connected == 1 ? 0 : connected;
}

static pump_call call; /* of what is subscribed to */

static int subscribe(program *self, const pump_subscribe *how) {
  pump_bytes stream = {"ponies", 6};
  return pump_client_subscribe(&self->subscription, self->client, stream, how, &call, &callbacks,
                               self);
}

static void on_closed(void *ud) {
  *(bool *)ud = true;
}

static void stop(program *self) {
  bool closed = false;
  if (self->subscription) pump_subscription_close(self->subscription);
  if (self->client) pump_client_close(self->client, on_closed, &closed);
  fake_stop(&server);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (uv_loop_close(&loop) != 0 || (self->client && !closed))
    tap_ok(false, "closing leaves nothing open");
}

static void turn(uint64_t ms) {
  fake_turn(&loop, ms);
}

/* Turns until it has so many events, for two seconds at most. */
static bool until_got(program *self, int64_t wanted) {
  uint64_t deadline = uv_hrtime() + (uint64_t)slowness() * UINT64_C(2000000000);
  while (self->got < wanted && self->ended == 0 && uv_hrtime() < deadline)
    turn(2);
  return self->got == wanted && self->in_order;
}

static bool until_ended(program *self, int code) {
  for (int i = 0; i < 1000 && self->ended == 0; i++)
    turn(2);
  return self->ended == code;
}

static pump_subscribe defaults(void) {
  pump_subscribe how;
  pump_subscribe_init(&how);
  return how;
}

/* ---- What holds --------------------------------------------------------------------------- */

static void history_then_live(void) {
  program self;
  pump_subscribe how = defaults();
  how.page_size = 10;
  start(&self, 95);
  tap_ok(subscribe(&self, &how) == 0 && self.got == 0, "nothing is called from inside the call");
  bool whole = until_got(&self, 95);
  tap_ok(whole && reads == 10, "history of 95 events comes in %d pages", reads);
  turn(10);
  tap_ok(self.lives == 1 && subscriptions == 1, "then it is live");
  push_now(95, 500);
  tap_ok(until_got(&self, 595), "what is pushed comes too");
  tap_ok(self.pages < 10 + 60, "500 pushes came in %d pages", (int)self.pages - 10);
  tap_ok(pump_subscription_number(self.subscription) == 594, "its number is the last event's");
  pump_subscription_close(self.subscription);
  self.subscription = NULL;
  turn(10);
  tap_ok(unsubscriptions == 1, "closing unsubscribes");
  push_now(595, 3);
  turn(10);
  tap_ok(self.got == 595 && self.ended == 0, "what is pushed after that goes nowhere");
  stop(&self);
}

static void everything_in_one_packet(void) {
  program self;
  pump_subscribe how = defaults();
  start(&self, 5);
  push_in_answer = 3;
  subscribe(&self, &how);
  tap_ok(until_got(&self, 8), "events in the packet of the confirmation come behind history");
  stop(&self);
  start(&self, 5);
  push_in_answer = 3;
  drops_in_answer = true;
  subscribe(&self, &how);
  until_ended(&self, PUMP_EACCESS);
  tap_ok(self.ended == PUMP_EACCESS && self.got == 8, "and so they do before a drop there: %s",
         self.message);
  stop(&self);
}

static void joining(void) {
  program self;
  pump_subscribe how = defaults();
  start(&self, 5);
  confirms = 7; /* three more were written since the page was read */
  subscribe(&self, &how);
  until_got(&self, 5);
  push_now(8, 2);
  turn(5);
  tap_ok(self.got == 5 && self.lives == 0, "what is pushed waits for what is missing before it");
  written = 8;
  tap_ok(until_got(&self, 10) && self.lives == 1, "and comes behind it");
  stop(&self);
}

/* Found by chaos_test.c: what is pushed need not come in order, once, or at all. */
static void disorder(void) {
  program self;
  pump_subscribe how = defaults();
  start(&self, 5);
  subscribe(&self, &how);
  until_got(&self, 5);
  turn(5);
  push_now(5, 2);
  push_now(5, 2);
  written = 9; /* and 7 and 8 were written, which it is not told of */
  push_now(9, 1);
  written = 10;
  push_now(6, 1);
  tap_ok(until_got(&self, 10) && self.got == 10 && self.gaps == 0,
         "what comes twice is left out, and what does not come is read");
  stop(&self);

  start(&self, 5);
  how.is_volatile = true;
  subscribe(&self, &how);
  turn(10);
  self.last = 9;
  push_now(10, 2);
  push_now(11, 1);
  turn(5);
  tap_ok(self.got == 2 && self.gaps == 0, "volatile: what comes twice is left out");
  push_now(15, 3);
  turn(5);
  tap_ok(self.gaps == 1 && self.gap == PUMP_EPROTOCOL && self.got == 2,
         "and what does not come is told");
  self.last = 17;
  push_now(18, 2);
  tap_ok(until_got(&self, 4) && self.gaps == 1, "and then it goes on");
  stop(&self);
}

static void slow_consumers(void) {
  program self;
  pump_subscribe how = defaults();
  how.page_size = 10;
  how.max_untaken = 20;
  how.max_buffered = 30;
  start(&self, 100);
  self.takes = false;
  subscribe(&self, &how);
  turn(30);
  tap_ok(self.got == 20 && reads == 2, "who takes nothing is given %d events", (int)self.got);
  for (int i = 0; i < 8; i++) {
    pump_subscription_took(self.subscription, 10);
    turn(5);
  }
  tap_ok(self.got == 100 && self.in_order && self.lives == 1, "and more as he takes");
  written = 200;
  push_now(100, 100);
  turn(20);
  tap_ok(unsubscriptions == 1 && pump_subscription_state(self.subscription) == 0,
         "when the buffer is full it goes back to reading");
  self.takes = true;
  pump_subscription_took(self.subscription, 20);
  tap_ok(until_got(&self, 200), "with nothing lost");
  turn(10);
  tap_ok(self.lives == 2, "until it is live again");
  stop(&self);
}

static void volatile_ones(void) {
  program self;
  pump_subscribe how = defaults();
  how.is_volatile = true;
  how.max_untaken = 4;
  how.max_buffered = 6;
  start(&self, 50);
  self.takes = false;
  self.last = 49;
  subscribe(&self, &how);
  turn(10);
  tap_ok(reads == 0 && self.lives == 1, "a volatile one reads no history");
  push_now(50, 3);
  tap_ok(until_got(&self, 3), "and gets what is pushed");
  push_now(53, 1);
  turn(5);
  push_now(54, 6);
  turn(5);
  push_now(60, 5);
  turn(5);
  pump_subscription_took(self.subscription, 4);
  turn(5);
  pump_subscription_took(self.subscription, 6);
  turn(5);
  tap_ok(self.got == 10 && self.in_order && self.gaps == 1 && self.gap == PUMP_ESLOW,
         "a slow one is told of its gap behind what it got");
  self.last = 64;
  push_now(65, 2);
  tap_ok(until_got(&self, 12), "and goes on");
  drop_now(NULL, 0);
  turn(100);
  tap_ok(self.ended == 0 && subscriptions == 2 && self.gaps == 2 && self.gap == PUMP_EDROPPED,
         "dropped by the server without having asked, it subscribes again");
  stop(&self);
}

static void meet(const refusal *is) {
  program self;
  pump_subscribe how = defaults();
  how.is_volatile = true;
  start(&self, 0);
  subscribe_answer = is->command;
  subscribe_body = is->body;
  subscribe_size = is->size;
  subscribe(&self, &how);
  bool as_told = until_ended(&self, is->code);
  tap_ok(as_told && !strchr(self.message, '\n'), "%s: %s, %s", is->what,
         pump_error_name(self.ended), self.message);
  tap_ok(pump_client_state(self.client) == PUMP_STATE_CONNECTED &&
             pump_subscription_state(self.subscription) == PUMP_SUBSCRIPTION_CLOSED,
         "%s: the connection lives on", is->what);
  stop(&self);
}

static void refusals(void) {
  static const refusal own[] = {
      {"nonsense", PUMP_TCP_SUBSCRIPTION_CONFIRMATION, "\xff\xff", 2, PUMP_EPROTOCOL},
      {"another answer", PUMP_TCP_PONG, NULL, 0, PUMP_EPROTOCOL},
      {"a deleted stream", PUMP_TCP_SUBSCRIPTION_CONFIRMATION,
       "\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 12, PUMP_EDELETED},
  };
  each_refusal(meet, own, sizeof own / sizeof *own);
}

static void odd_pushes(void) {
  program self;
  pump_subscribe how = defaults();
  start(&self, 3);
  pushes_before = true;
  subscribe(&self, &how);
  until_got(&self, 3);
  turn(5);
  tap_ok(self.lives == 1 && self.ended == 0, "a push before the confirmation is nobody's");
  stop(&self);
  start(&self, 3);
  subscribe_answer = PUMP_TCP_CHECKPOINT_REACHED;
  subscribe_size = 0;
  subscribe(&self, &how);
  until_got(&self, 3);
  turn(5);
  subscribe_answer = 0;
  answer_subscribe(&server, &subscribed);
  push_now(3, 1);
  tap_ok(until_got(&self, 4) && self.lives == 1, "nor is a checkpoint");
  stop(&self);
  start(&self, 3);
  subscribe(&self, &how);
  until_got(&self, 3);
  turn(5);
  fake_reply(&server, &subscribed, PUMP_TCP_STREAM_EVENT_APPEARED, NULL, 0);
  push_now(3, 1);
  tap_ok(until_got(&self, 4), "a push without an event is none");
  fake_reply(&server, &subscribed, PUMP_TCP_STREAM_EVENT_APPEARED, "\x0a\x7f", 2);
  answer_subscribe(&server, &subscribed); /* and what comes with it does not bring it back */
  fake_flush(&server);
  for (int i = 0; i < 1000 && self.lives < 2; i++)
    turn(2);
  tap_ok(self.lives == 2 && self.ended == 0, "for one that cannot be read it reads again");
  turn(5);
  tap_ok(unsubscriptions == 1, "at the server too");
  stop(&self);
}

static void takes_one(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  (void)result;
  pump_subscription_took(self->subscription, 1);
}

static void endings(void) {
  program self, other;
  pump_subscribe how = defaults();
  start(&self, 3);
  subscribe(&self, &how);
  until_got(&self, 3);
  fake_hang_up(&server);
  bool as_told = until_ended(&self, PUMP_ECLOSED);
  tap_ok(as_told, "a lost connection ends it: %s", self.message);
  pump_subscription_close(self.subscription);
  tap_ok(subscribe(&self, &how) == PUMP_ECLOSED, "and no other begins then");
  stop(&self);

  start(&self, 3);
  self.closes_itself = true;
  subscribe(&self, &how);
  turn(20);
  tap_ok(self.got == 3 && !self.subscription && self.ended == 0, "a callback may close it");
  stop(&self);

  start(&self, 30);
  subscribe(&self, &how);
  pump_subscription_close(self.subscription);
  self.subscription = NULL;
  turn(10);
  tap_ok(reads == 0 && self.got == 0, "closed at once it asks for nothing");
  other = self;
  other.ended = 0;
  other.closes_itself = true;
  subscribe(&other, &how);
  pump_client_ping(self.client, NULL, takes_one, &other); /* which wakes nobody any more */
  pump_client_close(self.client, NULL, NULL);
  self.client = NULL;
  turn(10);
  tap_ok(other.ended == PUMP_ECLOSED && !other.subscription, "closing the client ends it");
  stop(&self);
}

static void patience(void) {
  program self;
  pump_subscribe how = defaults();
  start(&self, 3);
  call.timeout = UINT64_MAX;
  subscribe(&self, &how);
  until_got(&self, 3);
  turn(5);
  written = 4;
  drop_now(NULL, 0);
  tap_ok(until_got(&self, 4), "one that waits for ever is not over at once after a pause");
  call.timeout = 0;
  stop(&self);
}

/* Many on one connection, closed in the midst of their answers. */
static void many(void) {
  enum { MANY = 500 };
  static program all[MANY];
  program self;
  pump_subscribe how = defaults();
  start(&self, 20);
  call.timeout = 60000;
  for (int i = 0; i < MANY; i++) {
    all[i] = (program){.client = self.client, .last = -1, .in_order = true, .takes = true};
    subscribe(&all[i], &how);
  }
  uint64_t deadline = uv_hrtime() + (uint64_t)slowness() * UINT64_C(5000000000);
  int64_t live = 0;
  while (live < MANY && uv_hrtime() < deadline) {
    turn(5);
    live = 0;
    for (int i = 0; i < MANY; i++)
      live += all[i].lives == 1 && all[i].got == 20 && all[i].in_order;
  }
  tap_ok(live == MANY, "%d subscriptions on one connection are live", (int)live);
  for (int i = 0; i < MANY; i += 2)
    pump_subscription_close(all[i].subscription);
  while (unsubscriptions < MANY / 2 && uv_hrtime() < deadline)
    turn(5);
  tap_ok(unsubscriptions == MANY / 2, "half of them unsubscribe");
  for (int i = 1; i < MANY; i += 2)
    pump_subscription_close(all[i].subscription);
  call.timeout = 0;
  stop(&self);
}

/* Without memory it ends, or goes on as if nothing was; it never loses an event without a word. */
static void without_memory(void) {
  long allocations = 0, ended = 0, whole = 0, wrong = 0;
  long growth =
      0; /* texts that strdup makes are freed uncounted: the first run, at 0, says how many */
  for (long at = 0; wrong == 0; at++) {
    program self;
    pump_subscribe how = defaults();
    how.page_size = 10;
    how.max_untaken = 10;
    long alive = starve_alive;
    int code = start(&self, 25);
    starve_count = 0;
    starve_at = at;
    if (code == 0) code = subscribe(&self, &how);
    if (code == 0) until_got(&self, 25);
    written = 30;
    if (code == 0 && self.ended == 0) push_now(25, 5);
    if (code == 0) until_got(&self, 30);
    bool reached = starve_count >= at;
    starve_at = 0;
    if (!self.in_order || (self.got != 30 && self.ended == 0 && code == 0)) wrong = at;
    if (code == 0 && self.ended == 0) whole++;
    if (self.ended != 0) ended++;
    stop(&self);
    if (at == 0)
      growth = starve_alive - alive;
    else if (starve_alive - alive != growth)
      wrong = at;
    allocations = at;
    if (!reached && at > 0) break;
  }
  tap_ok(wrong == 0, "of %ld allocations each failed in turn: %ld ended it, %ld did not",
         allocations, ended, whole);
}

int main(void) {
  history_then_live();
  everything_in_one_packet();
  joining();
  disorder();
  slow_consumers();
  volatile_ones();
  refusals();
  odd_pushes();
  endings();
  patience();
  many();
  without_memory();
  return tap_done();
}

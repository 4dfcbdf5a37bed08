/* Subscriptions of a client against a server that pushes what a spec tells it to: history and what
 * comes live, flow control, and life without memory. */
#include "fake_stream.h"

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
  many();
  without_memory();
  return tap_done();
}

/* What a consumer gets and what it says: answers sent together, flow, and life without memory. */
#include "fake_group.h"

static void events_and_answers(void) {
  program self;
  start(&self);
  push_in_answer = 10;
  tap_ok(consume(&self, 0) == 0 && self.got == 0, "nothing is called from inside the call");
  bool came = until(&self.got, 10);
  tap_ok(came && in_flight_allowed == 10 && self.lives == 1 && self.pages == 1,
         "events come with the confirmation, 10 in flight by default");
  uint64_t before = uv_hrtime();
  pump_consumer_ack(self.consumer, self.ids, 4);
  turn(2);
  int early = ack_frames;
  bool is_early = uv_hrtime() - before < 10 * 1000000; /* a busy machine may have taken longer */
  turn(30);
  tap_ok((early == 0 || !is_early) && ack_frames == 1 && total(acked, 10) == 4,
         "four acks wait for others");
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
  events_and_answers();
  flow();
  many_answers();
  without_memory();
  pump_buffer_free(&asked);
  return tap_done();
}

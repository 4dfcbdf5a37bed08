/* How subscriptions of a client end, or do not: refusals, pushes that make no sense, lost connections
 * and callbacks that close. */
#include "fake_stream.h"
#include "refusals.h"

static void meet(const refusal *is) {
  program self;
  pump_subscribe how = defaults();
  how.is_volatile = true;
  patience = 300; /* some are asked again until then */
  start(&self, 0);
  patience = 10000;
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

static void a_pause(void) {
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

int main(void) {
  refusals();
  odd_pushes();
  endings();
  a_pause();
  return tap_done();
}

/* Groups, and the beginning and end of their consumers: settings on the wire, refusals, and each way
 * in which a consumer ends or goes on. */
#include "fake_group.h"

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
  int early = total(acked, 3); /* on a slow machine the first one was sent before */
  pump_consumer_ack(self.consumer, self.ids, 3);
  turn(30);
  tap_ok(total(acked, 3) == early, "answers to what came before are not sent");
  push_now(1, 2, 1);
  until(&self.got, 5);
  pump_consumer_ack(self.consumer, self.ids, 3);
  until(&acked[2], 1);
  tap_ok(total(acked, 3) == early + 2, "but of what has come again");

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

static void meet(const refusal *is) {
  program self;
  patience = 300; /* some are asked again until then */
  start(&self);
  patience = 10000;
  confirms = false;
  answer_command = is->command;
  answer_body = is->body;
  answer_size = is->size;
  consume(&self, 0);
  bool as_told = until(&self.ended, is->code);
  tap_ok(as_told && strstr(self.message, "g1") && !strchr(self.message, '\n'), "%s: %s, %s",
         is->what, pump_error_name(self.ended), self.message);
  tap_ok(pump_client_state(self.client) == PUMP_STATE_CONNECTED && self.lives == 0,
         "%s: the connection lives on", is->what);
  stop(&self);
}

static void refusals(void) {
  static const refusal own[] = {
      {"too many", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x04", 2, PUMP_EMAXSUBSCRIBERS},
      {"nonsense", PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION, "\xff\xff", 2, PUMP_EPROTOCOL},
      {"another answer", PUMP_TCP_SUBSCRIPTION_CONFIRMATION, NULL, 0, PUMP_EPROTOCOL},
  };
  each_refusal(meet, own, sizeof own / sizeof *own);
}

static void odd_pushes(void) {
  program self;
  start(&self);
  push_before = 3;
  push_in_answer = 2;
  consume(&self, 10);
  until(&self.got, 2);
  turn(5);
  tap_ok(self.got == 2 && self.numbers[0] == 0 && self.ended == 0,
         "what is pushed before the confirmation is nobody's");
  stop(&self);

  start(&self);
  consume(&self, 10);
  until(&self.lives, 1);
  fake_reply(&server, &connected, PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, NULL, 0);
  push_now(1, 1, 0);
  until(&self.got, 1);
  tap_ok(self.got == 1 && self.numbers[0] == 1, "a push without an event is none");
  fake_reply(&server, &connected, PUMP_TCP_NOT_HANDLED, "\x08\x00", 2);
  fake_flush(&server);
  until(&self.lives, 2);
  tap_ok(connections == 2 && self.losts == 1 && unsubscriptions == 1,
         "of a server that is not ready any more it asks again, and leaves what it had");
  for (int lives = 3; lives <= 5; lives++) { /* it was tried once before */
    fake_reply(&server, &connected, PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED, "\x0a\x7f", 2);
    fake_flush(&server);
    if (lives < 5) until(&self.lives, lives);
  }
  tap_ok(self.lives == 4 && unsubscriptions >= 3, "for one that cannot be read it asks again");
  until(&self.ended, PUMP_EPROTOCOL);
  turn(5);
  tap_ok(self.ended == PUMP_EPROTOCOL && unsubscriptions == 4,
         "where that goes on it ends, at the server too: %s", self.message);
  stop(&self);
}

/* Found by chaos_test.c: a consumer of whom nobody knows any more holds what is pinned to it. */
static void unheard(void) {
  program self;
  start(&self);
  push_in_answer = 2;
  consume(&self, 10);
  until(&self.got, 2);
  refuses_to_unsubscribe = true;
  pump_consumer_close(self.consumer);
  self.consumer = NULL;
  until(&unsubscriptions, 1);
  refuses_to_unsubscribe = false;
  push_now(2, 3, 0);
  bool again = until(&unsubscriptions, 2);
  tap_ok(again && self.got == 2, "a server that did not hear that it is left is told again");
  push_now(5, 3, 0);
  turn(30);
  tap_ok(unsubscriptions == 2, "but not for each event that comes");
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
  tap_ok(self.lost_in == PUMP_STATE_RECONNECTING, "and is told of the loss before there is one");
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

int main(void) {
  settings_on_the_wire();
  outcomes_of_groups();
  settings_that_make_no_sense();
  drops();
  refusals();
  odd_pushes();
  unheard();
  endings();
  pump_buffer_free(&asked);
  return tap_done();
}

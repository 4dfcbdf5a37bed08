/* Consumer groups of the embedded node over TCP, beyond what was recorded: who may do what, what
 * comes again when consumers go, what survives a restart or a kill, streams that change under a
 * group, and consumers that do not read. */
#include "tap.h"

#include "group_peer.h"

#ifdef __SANITIZE_ADDRESS__
#define MAX_MEGABYTES 900 /* what is freed is kept for a while */
#else
#define MAX_MEGABYTES 320
#endif

static char directory[] = "/tmp/pump-groups-XXXXXX";

/* ---- Who may ------------------------------------------------------------------------------ */

static void test_rights(const node_child *node) {
  node_peer peer;
  char reason[200], page[8192];
  const uint8_t make = PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION;
  node_peer_connect(&peer, node->port);
  tap_ok(change(&peer, make, "s", "g", &usual, "joe", reason) == 3,
         "a plain user may not create a group");
  tap_ok(change(&peer, make, "s", "g", &usual, "ops", reason) == 0, "ops may");
  tap_ok(change(&peer, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION, "s", "g", &usual, "joe", reason) ==
             3,
         "nor update one");
  tap_ok(change(&peer, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, "s", "g", &usual, NULL, reason) ==
             3,
         "nor may somebody without a name delete one");
  tap_ok(create(&peer, "$hidden", "g", &usual) && join(&peer, 1, "$hidden", "g", 10, "joe") == 101,
         "who may not read the stream may not consume");
  tap_ok(join(&peer, 2, "s", "g", 10, "joe") == 0, "who may, may");
  tap_ok(ask_page(node->http_port, "GET", "/subscriptions", NULL, page) == 401 &&
             ask_page(node->http_port, "GET", "/subscriptions/s/g/info", "bm86bm8=", page) == 401,
         "over HTTP groups are shown to users");
  tap_ok(ask_page(node->http_port, "GET", "/subscriptions/s/g/info", JOE, page) == 200 &&
             strstr(page, "\"username\": \"joe\"") != NULL,
         "to any of them");
  tap_ok(ask_page(node->http_port, "POST", "/subscriptions/s/g/replayParked", JOE, page) == 403 &&
             ask_page(node->http_port, "POST", "/subscriptions/s/g/replayParked", ADMIN, page) ==
                 200,
         "replaying is for operators");
  tap_ok(ask_page(node->http_port, "GET", "/subscriptions/s/none/info", ADMIN, page) == 404 &&
             ask_page(node->http_port, "GET", "/subscriptions/none", ADMIN, page) == 404 &&
             ask_page(node->http_port, "POST", "/subscriptions/s/none/replayParked", ADMIN, page) ==
                 404 &&
             strstr(page, "\"Unable to locate 's::none'\"") != NULL,
         "what is not there is not found");
  tap_ok(ask_page(node->http_port, "GET", "/subscriptions/s", ADMIN, page) == 200 &&
             strstr(page, "\"groupName\": \"g\"") && !strstr(page, "hidden"),
         "a stream's groups alone");
  tap_ok(ask_page(node->http_port, "GET", "/subscriptions/s/g/replayParked", ADMIN, page) == 405 &&
             strstr(page, "Allow: POST\r\n") != NULL,
         "the wrong method is told the right one");
  node_peer_close(&peer);
}

static void test_nonsense(const node_child *node) {
  node_peer peer;
  char reason[200];
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(7, 1);
  const uint8_t make = PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION;
  node_peer_connect(&peer, node->port);
  tap_ok(change(&peer, make, "", "g", &usual, "admin", reason) == 2 &&
             strcmp(reason, "Bad stream name.") == 0,
         "no stream is no stream");
  tap_ok(change(&peer, make, "nonsense", "", &usual, "admin", reason) == -2,
         "no group is no group");
  tap_ok(change(&peer, make, "non\xff", "g", &usual, "admin", reason) == 2,
         "a name that is no UTF-8 can't be kept");
  settings by_correlation = usual;
  by_correlation.strategy = "PinnedByCorrelation";
  tap_ok(change(&peer, make, "nonsense", "g", &by_correlation, "admin", reason) == 2,
         "a strategy of newer servers does not exist");
  settings odd = {0, -5, -5, -5, -5, -5, -5, -5, -5, false, "", false};
  write_events(&peer, "odd", 3);
  tap_ok(create(&peer, "odd", "g", &odd) && join(&peer, 3, "odd", "g", 2, NULL) == 0 &&
             strcmp(numbers(&peer, 2), "0 1") == 0,
         "settings below zero are no settings");
  bool is_understood = true;
  for (int command = 0xc5; command <= 0xce; command++) {
    if (command == 0xc6 || command == 0xc7 || command == 0xc9 || command == 0xcb) continue;
    is_understood = is_understood &&
                    node_peer_send(&peer, (uint8_t)command, &id, "admin", "changeit",
                                   pump_bytes_of("\xff\xff\xff")) &&
                    node_peer_receive(&peer, &frame) && frame.command == PUMP_TCP_BAD_REQUEST;
  }
  tap_ok(is_understood, "what is no message is refused");
  /* An ack with an id of three bytes, for a group that there is. */
  node_peer_send(&peer, PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS, &id, NULL, NULL,
                 pump_bytes_of("\x0a\x06odd::g\x12\x03xyz"));
  tap_ok(is_quiet(&peer), "an acknowledgement of nothing is not answered");
  node_peer_close(&peer);
}

/* ---- Consumers that go -------------------------------------------------------------------- */

static void test_leaving(const node_child *node) {
  node_peer one, two;
  pushed what[4];
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(3, 1);
  node_peer_connect(&one, node->port);
  node_peer_connect(&two, node->port);
  write_events(&one, "leaving", 4);
  create(&one, "leaving", "g", &usual);
  join(&one, 1, "leaving", "g", 2, NULL);
  tap_ok(strcmp(numbers(&one, 2), "0 1") == 0, "a consumer gets what it has room for");
  join(&two, 2, "leaving", "g", 10, NULL);
  tap_ok(strcmp(numbers(&two, 2), "2 3") == 0, "another one the rest");
  node_peer_close(&one);
  bool is_again = receive(&two, &what[0]) && receive(&two, &what[1]);
  tap_ok(is_again && what[0].number == 0 && what[1].number == 1 && what[0].retries == 1,
         "and what the first had in flight when its connection was lost");
  node_peer_connect(&one, node->port);
  join(&one, 1, "leaving", "g", 10, NULL);
  node_peer_send(&one, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, &id, NULL, NULL, no_bytes);
  tap_ok(node_peer_receive(&one, &frame) && frame.command == PUMP_TCP_SUBSCRIPTION_DROPPED &&
             frame.payload.size == 0,
         "one that unsubscribes is told so");
  id = id_of(3, 2);
  join(&one, 3, "leaving", "g", 1, NULL);
  node_peer_send(&two, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, &id, NULL, NULL, no_bytes);
  tap_ok(node_peer_receive(&two, &frame) && frame.command == PUMP_TCP_SUBSCRIPTION_DROPPED &&
             receive(&one, &what[0]) && what[0].number == 0,
         "what it had goes to those who stay, in the stream's order");
  tap_ok(is_quiet(&two), "and it gets nothing more");
  for (int i = 1; i < 4; i++) {
    ack(&one, "leaving::g", &what[i - 1]);
    is_again = is_again && receive(&one, &what[i]) && what[i].number == i;
  }
  tap_ok(is_again, "one after the other, as it has room");
  char reason[200];
  change(&two, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, "leaving", "g", &usual, "admin", reason);
  tap_ok(node_peer_receive(&one, &frame) && frame.command == PUMP_TCP_SUBSCRIPTION_DROPPED &&
             join(&one, 4, "leaving", "g", 1, NULL) == 102,
         "a group that was deleted is gone for all");
  node_peer_close(&one);
  node_peer_close(&two);
}

/* Everything in one write: the node sees it in one turn. */
static void test_one_turn(const node_child *node) {
  node_peer peer;
  pump_tcp_frame frame;
  uint8_t answers[6];
  PumpTcp__CreatePersistentSubscription asked = PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = id_of(8, 1);
  static const uint8_t commands[] = {
      PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION,
      PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION,
      PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION};
  node_peer_connect(&peer, node->port);
  asked.has_subscription_group_name = asked.has_event_stream_id = true;
  asked.subscription_group_name = pump_tcp_binary(pump_bytes_of("g"));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of("turn"));
  for (int i = 0; i < 6; i++)
    pump_tcp_pack(&peer.out, commands[i], &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                  &asked.base);
  node_peer_flush(&peer);
  for (int i = 0; i < 6; i++)
    answers[i] = node_peer_receive(&peer, &frame) ? (uint8_t)frame.payload.data[1] : 9;
  tap_ok(memcmp(answers, (uint8_t[]){0, 1, 0, 1, 0, 0}, 6) == 0,
         "each of several changes at once sees those before it");
  tap_ok(join(&peer, 1, "turn", "g", 1, NULL) == 0, "and the last of them holds");
  node_peer_close(&peer);
}

/* What is acknowledged in the turn that deletes a group must leave no checkpoint to the next group
 * of that name, which would pass events over. */
static void test_last_acks(const node_child *node) {
  node_peer peer;
  pushed what[3];
  settings eager = usual;
  eager.max = 1;
  pump_tcp_frame frame;
  PumpTcp__DeletePersistentSubscription asked = PUMP_TCP__DELETE_PERSISTENT_SUBSCRIPTION__INIT;
  PumpTcp__PersistentSubscriptionAckEvents acks =
      PUMP_TCP__PERSISTENT_SUBSCRIPTION_ACK_EVENTS__INIT;
  ProtobufCBinaryData ids[3];
  pump_tcp_correlation id = id_of(11, 0);
  node_peer_connect(&peer, node->port);
  write_events(&peer, "last", 3);
  create(&peer, "last", "g", &eager);
  join(&peer, 1, "last", "g", 10, NULL);
  for (int i = 0; i < 3; i++) {
    if (!receive(&peer, &what[i])) abort();
    ids[i] = (ProtobufCBinaryData){16, what[i].id.bytes};
  }
  acks.has_subscription_id = true;
  acks.subscription_id = pump_tcp_binary(pump_bytes_of("last::g"));
  acks.n_processed_event_ids = 3;
  acks.processed_event_ids = ids;
  asked.has_subscription_group_name = asked.has_event_stream_id = true;
  asked.subscription_group_name = pump_tcp_binary(pump_bytes_of("g"));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of("last"));
  pump_tcp_pack(&peer.out, PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS, &id, no_bytes, no_bytes,
                &acks.base);
  pump_tcp_pack(&peer.out, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, &id, pump_bytes_of("admin"),
                pump_bytes_of("changeit"), &asked.base);
  node_peer_flush(&peer);
  bool is_over = node_peer_receive(&peer, &frame) && node_peer_receive(&peer, &frame);
  tap_ok(is_over && create(&peer, "last", "g", &eager) &&
             join(&peer, 2, "last", "g", 10, NULL) == 0 && strcmp(numbers(&peer, 3), "0 1 2") == 0,
         "a group that was deleted leaves nothing to the next of its name");
  node_peer_close(&peer);
}

/* ---- Streams that change ------------------------------------------------------------------ */

static void test_streams(const node_child *node) {
  node_peer peer, writer;
  pushed what;
  settings some = usual;
  node_peer_connect(&peer, node->port);
  node_peer_connect(&writer, node->port);
  write_events(&writer, "cut", 10);
  create(&peer, "cut", "g", &usual);
  join(&peer, 1, "cut", "g", 1, NULL);
  bool is_first = receive(&peer, &what) && what.number == 0;
  write_event(&writer, "$$cut", "$metadata", "{\"$maxCount\":2}", "");
  ack(&peer, "cut::g", &what);
  tap_ok(is_first && receive(&peer, &what) && what.number == 8,
         "what a stream has dropped meanwhile is passed over");
  ack(&peer, "cut::g", &what);
  tap_ok(work(&peer, "cut::g", 1) && write_events(&writer, "cut", 1) && work(&peer, "cut::g", 1),
         "and it goes on with what comes");

  some.start_from = -1;
  write_events(&writer, "from", 3);
  create(&peer, "from", "now", &some);
  some.start_from = 2;
  create(&peer, "from", "two", &some);
  some.start_from = 4;
  create(&peer, "from", "four", &some);
  join(&peer, 2, "from", "two", 10, NULL);
  tap_ok(receive(&peer, &what) && what.number == 2 && what.consumer == 2,
         "a group starts where it was told");
  write_events(&writer, "from", 2);
  tap_ok(strcmp(numbers(&peer, 2), "3 4") == 0, "and gets what is written then");
  join(&peer, 3, "from", "now", 10, NULL);
  tap_ok(strcmp(numbers(&peer, 2), "3 4") == 0,
         "one that starts now gets what came since, though nobody consumed");
  join(&peer, 4, "from", "four", 10, NULL);
  tap_ok(strcmp(numbers(&peer, 1), "4") == 0 && is_quiet(&peer),
         "one that starts ahead waits for its first event");

  create(&peer, "soft", "g", &usual);
  join(&peer, 5, "soft", "g", 10, NULL);
  write_events(&writer, "soft", 1);
  bool is_work = work(&peer, "soft::g", 1);
  write_event(&writer, "$$soft", "$metadata", "{\"$tb\":9223372036854775807}", "");
  write_events(&writer, "soft", 1);
  tap_ok(is_work && receive(&peer, &what) && what.number == 1,
         "a stream that was deleted and came back goes on");
  ack(&peer, "soft::g", &what);

  bool is_tombstone = hard_delete(&writer, "soft") && receive(&peer, &what) &&
                      what.number == INT32_MAX; /* to who does not say a version */
  ack(&peer, "soft::g", &what);
  tap_ok(is_tombstone && is_quiet(&peer), "the end of a stream is an event too");
  node_peer_close(&peer);
  node_peer_close(&writer);
}

static void test_links(const node_child *node) {
  node_peer peer, writer;
  pushed what;
  settings resolving = usual;
  resolving.resolve_links = true;
  node_peer_connect(&peer, node->port);
  node_peer_connect(&writer, node->port);
  write_events(&writer, "target", 1);
  write_event(&writer, "$secret", "thing", "1", "");
  write_event(&writer, "links", "$>", "0@target", "");
  write_event(&writer, "links", "$>", "7@target", "");
  write_event(&writer, "links", "$>", "0@$secret", "");
  write_event(&writer, "links", "thing", "1", "");
  create(&peer, "links", "g", &resolving);
  create(&peer, "links", "plain", &usual);
  join(&peer, 1, "links", "g", 1, NULL);
  tap_ok(receive(&peer, &what) && what.number == 0 && what.link == 0 &&
             strcmp(what.stream, "target") == 0,
         "links are resolved");
  ack(&peer, "links::g", &what);
  tap_ok(receive(&peer, &what) && !what.has_event && what.link == 1,
         "one that leads nowhere comes alone, and the link's id acknowledged it");
  answer(&peer, "links::g", &what, 1, 1, "no use");
  tap_ok(receive(&peer, &what) && !what.has_event && what.link == 2,
         "so does one to what the consumer may not read");
  ack(&peer, "links::g", &what);
  tap_ok(receive(&peer, &what) && what.number == 3 && what.link == -1, "events among links come");
  join(&peer, 2, "links", "plain", 1, NULL);
  tap_ok(receive(&peer, &what) && what.number == 0 && what.link == -1 &&
             strcmp(what.stream, "links") == 0,
         "where they are not to be resolved the links themselves");
  char data[200];
  tap_ok(read_stream(&writer, "$persistentsubscription-links::g-parked", data) == 1 &&
             strcmp(data, "7@target") == 0,
         "what leads nowhere is parked as it is");
  node_peer_close(&peer);
  node_peer_close(&writer);
}

/* ---- Parking ------------------------------------------------------------------------------ */

static void test_parking(const node_child *node) {
  node_peer peer, writer;
  pushed what[4];
  char page[8192], data[200];
  static const char parked[] = "$persistentsubscription-park::g-parked";
  node_peer_connect(&peer, node->port);
  node_peer_connect(&writer, node->port);
  write_events(&writer, "park", 4);
  settings once = usual;
  once.retries = 0;
  create(&peer, "park", "g", &once);
  join(&peer, 1, "park", "g", 10, NULL);
  bool is_there = true;
  for (int i = 0; i < 4; i++)
    is_there = receive(&peer, &what[i]) && is_there;
  answer(&peer, "park::g", what, 4, 2, "");
  tap_ok(is_there && is_quiet(&peer) && read_stream(&writer, parked, data) == 4,
         "without retries what is to be retried is parked");
  ask_page(node->http_port, "POST", "/subscriptions/park/g/replayParked?stopAt=2", ADMIN, page);
  is_there = receive(&peer, &what[0]) && receive(&peer, &what[1]);
  tap_ok(is_there && what[0].number == 0 && what[0].link == 0 && what[1].link == 1 &&
             is_quiet(&peer),
         "it is replayed up to where that was to stop");
  tap_ok(read_stream(&writer, parked, data) == 4, "what is replayed stays parked");
  ack(&peer, "park::g", &what[0]);
  answer(&peer, "park::g", &what[1], 1, 1, "again");
  usleep(600000);
  tap_ok(read_stream(&writer, parked, data) == 3 && strcmp(data, "1@park") == 0,
         "until it is settled; and may be parked again");
  ask_page(node->http_port, "POST", "/subscriptions/park/g/replayParked", ADMIN, page);
  tap_ok(strcmp(numbers(&peer, 3), "4 2 3") == 0 && is_quiet(&peer),
         "the next replay goes on behind the last, in the order of the stream");
  tap_ok(ask_page(node->http_port, "POST", "/subscriptions/park/g/replayParked?stopAt=x", ADMIN,
                  page) == 400,
         "stopAt has to be a number");
  node_peer_close(&peer);
  node_peer_close(&writer);
}

/* ---- Timings ------------------------------------------------------------------------------ */

static void test_timings(const node_child *node) {
  node_peer peer;
  pushed what;
  char page[8192];
  settings recorded = usual;
  recorded.record_statistics = true;
  node_peer_connect(&peer, node->port);
  write_event(&peer, "timed", "x", "1", "");
  create(&peer, "timed", "g", &recorded);
  join(&peer, 1, "timed", "g", 10, NULL);
  bool came = receive(&peer, &what);
  ask_page(node->http_port, "GET", "/subscriptions/timed/g/info", ADMIN, page);
  tap_ok(strstr(page, "\"extraStatistics\": [],"), "without answers there are no timings");
  usleep(30000);
  ack(&peer, "timed::g", &what);
  is_quiet(&peer);
  ask_page(node->http_port, "GET", "/subscriptions/timed/g/info", ADMIN, page);
  const char *mean = strstr(page, "\"key\": \"Mean\",\n          \"value\": ");
  const char *highest = strstr(page, "\"key\": \"Highest\",\n          \"value\": ");
  int ms = mean ? atoi(strstr(mean, "value\": ") + 8) : -1;
  tap_ok(came && highest && ms >= 25 && atoi(strstr(highest, "value\": ") + 8) == ms,
         "how long a consumer took is told (%d ms)", ms);
  node_peer_close(&peer);
}

/* ---- Restarts ----------------------------------------------------------------------------- */

static void test_restart(bool is_killed) {
  char file[64], data[200];
  node_peer peer, other;
  pushed what[10];
  const char *how = is_killed ? "killed" : "closed";
  snprintf(file, sizeof file, "%s/%s.db", directory, how);
  node_child node = start(file, NULL);
  node_peer_connect(&peer, node.port);
  node_peer_connect(&other, node.port);
  write_events(&peer, "kept", 10);
  settings lazy = usual; /* by itself it would write no checkpoint */
  lazy.min = lazy.max = 1000;
  create(&peer, "kept", "eager", &usual);
  create(&peer, "kept", "lazy", &lazy);
  create(&peer, "kept", "gone", &usual);
  bool is_good = true;
  join(&peer, 1, "kept", "eager", 5, NULL);
  for (int i = 0; i < 5; i++)
    is_good = receive(&peer, &what[i]) && is_good;
  answer(&peer, "kept::eager", what, 3, -1, "");      /* 0, 1 and 2 are done */
  answer(&peer, "kept::eager", what + 4, 1, 1, "no"); /* 4 is parked; 3 and more are in flight */
  join(&other, 2, "kept", "lazy", 3, NULL);
  is_good = work(&other, "kept::lazy", 2) && is_good;
  is_good = strcmp(numbers(&peer, 4), "5 6 7 8") == 0 && is_good;
  tap_ok(is_good, "a node to be %s has groups at work", how);
  is_good = change(&peer, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, "kept", "gone", &usual, "admin",
                   data) == 0;
  usleep(600000); /* for a checkpoint, which comes with the tick */
  node_peer_close(&peer);
  node_peer_close(&other);
  if (is_killed)
    node_child_kill(&node);
  else
    node_child_stop(&node);

  node = start(file, NULL);
  node_peer_connect(&peer, node.port);
  tap_ok(is_good && join(&peer, 1, "kept", "gone", 1, NULL) == 102, "%s: deleted ones stay so",
         how);
  join(&peer, 2, "kept", "eager", 10, NULL);
  tap_ok(strcmp(numbers(&peer, 7), "3 4 5 6 7 8 9") == 0 && is_quiet(&peer),
         "%s: a group goes on behind its checkpoint, and has lost nothing", how);
  join(&peer, 3, "kept", "lazy", 10, NULL);
  tap_ok(strcmp(numbers(&peer, 3), is_killed ? "0 1 2" : "2 3 4") == 0,
         is_killed ? "%s: without one it begins again"
                   : "%s: in order even one that had none knows how far it was",
         how);
  node_peer_connect(&other, node.port);
  tap_ok(read_stream(&other, "$persistentsubscription-kept::eager-parked", data) == 1 &&
             strcmp(data, "4@kept") == 0,
         "%s: what was parked is", how);
  node_peer_close(&other);
  node_peer_close(&peer);
  node_child_stop(&node);
}

/* ---- Like 23.10 --------------------------------------------------------------------------- */

static void test_like_23(void) {
  node_child node = start(NULL, "23.10");
  node_peer peer;
  pushed what;
  char data[200];
  settings by_correlation = usual;
  by_correlation.strategy = "PinnedByCorrelation";
  node_peer_connect(&peer, node.port);
  tap_ok(create(&peer, "c", "g", &by_correlation), "23.10 pins by correlation id");
  join(&peer, 1, "c", "g", 100, "admin");
  join(&peer, 2, "c", "g", 100, "admin");
  unsigned owners[3] = {0};
  bool is_pinned = true;
  for (int i = 0; i < 30 && is_pinned; i++) {
    char metadata[64];
    snprintf(metadata, sizeof metadata, "{\"a\":[1],\"$correlationId\":\"%c\"}", 'a' + i % 3);
    pump_new_event event = {
        .id = {{7, (uint8_t)i}}, .type = pump_bytes_of("t"), .metadata = pump_bytes_of(metadata)};
    pump_tcp_correlation id = id_of(9, 0);
    pump_tcp_frame frame;
    pump_tcp_encode_write(&peer.out, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                          pump_bytes_of("c"), PUMP_ANY, false, &event, 1);
    node_peer_flush(&peer);
    for (int k = 0; k < 2 && node_peer_receive(&peer, &frame); k++) {
      if (!read_push(&frame, &what)) continue;
      if (owners[i % 3] == 0) owners[i % 3] = what.consumer;
      is_pinned = owners[i % 3] == what.consumer;
    }
  }
  tap_ok(is_pinned && owners[0] && owners[1] && owners[2], "all of an id to one consumer");
  tap_ok(join(&peer, 3, "c", "g", 1, NULL) == 101, "nobody without a name consumes");
  settings eager = usual;
  write_events(&peer, "d", 3);
  create(&peer, "d", "g", &eager);
  node_peer_close(&peer);
  node_peer_connect(&peer, node.port);
  join(&peer, 4, "d", "g", 10, "admin");
  work(&peer, "d::g", 3);
  usleep(600000);
  tap_ok(read_stream(&peer, "$persistentsubscription-d::g-checkpoint", data) == 1 &&
             strcmp(data, "\"2\"") == 0,
         "its checkpoints are text");
  node_peer_close(&peer);
  node_child_stop(&node);
}

/* ---- Who does not read -------------------------------------------------------------------- */

static void test_slow(void) {
  enum { SIZE = 200000, COUNT = 1000 };
  node_child node = start(NULL, NULL);
  node_peer idle, busy, writer;
  static char data[SIZE];
  pushed what;
  memset(data, 'x', SIZE - 1);
  node_peer_connect(&writer, node.port);
  create(&writer, "slow", "idle", &usual);
  create(&writer, "slow", "busy", &usual);
  node_peer_connect(&idle, node.port);
  node_peer_connect(&busy, node.port);
  join(&idle, 1, "slow", "idle", 1000000, NULL);
  join(&busy, 2, "slow", "busy", 10, NULL);
  int count = 0;
  for (int i = 0; i < COUNT; i++) {
    write_event(&writer, "slow", "x", data, "");
    if (i >= 5 && receive(&busy, &what) && ++count) ack(&busy, "slow::busy", &what);
    if (i % 100 == 0)
      node_peer_send(&idle, PUMP_TCP_PING, &(pump_tcp_correlation){{1}}, NULL, NULL, no_bytes);
  }
  tap_ok(count == COUNT - 5, "one who does not read does not keep others waiting (%d)", count);
  /* The store itself holds all of it in memory, 200 MB; a consumer that was pushed all of it would
   * cost as much again. */
  long megabytes = node_child_megabytes(&node);
  tap_ok(megabytes < MAX_MEGABYTES * (slowness() > 1 ? 10 : 1),
         "and costs little memory (%ld MB with the store)", megabytes);
  node_peer_close(&idle);
  node_peer_close(&busy);
  node_peer_close(&writer);
  tap_ok(node_child_stop(&node), "such a node ends with nothing open");
}

/* Reads slowly what is more than fits into all buffers, and gets it all. */
static void test_backlog(void) {
  enum { SIZE = 20000, COUNT = 1000 };
  node_child node = start(NULL, NULL);
  node_peer peer;
  static char data[SIZE];
  pushed what;
  memset(data, 'x', SIZE - 1);
  node_peer_connect(&peer, node.port);
  for (int i = 0; i < COUNT; i++)
    write_event(&peer, "backlog", "x", data, "");
  create(&peer, "backlog", "g", &usual);
  join(&peer, 1, "backlog", "g", COUNT, NULL);
  usleep(500000);
  int64_t next = 0;
  while (next < COUNT && receive(&peer, &what) && what.number == next && what.retries == 0)
    next++;
  tap_ok(next == COUNT, "what waits while a consumer has no room comes when it has (%lld)",
         (long long)next);
  node_peer_close(&peer);
  node_child_stop(&node);
}

/* Found by chaos_test.c: too much at once for one turn, which the system's buffers swallow whole. */
static void test_swallowed(void) {
  enum { SIZE = 600000, COUNT = 6 };
  node_child node = start(NULL, NULL);
  node_peer peer;
  static char data[SIZE];
  pushed what;
  int count = 0;
  memset(data, 'x', SIZE - 1);
  node_peer_connect(&peer, node.port);
  for (int i = 0; i < COUNT; i++)
    write_event(&peer, "large", "x", data, "");
  create(&peer, "large", "g", &usual);
  join(&peer, 1, "large", "g", COUNT, NULL);
  while (count < COUNT && receive(&peer, &what))
    count++;
  tap_ok(count == COUNT, "who takes all at once gets the rest, without a word from him (%d)",
         count);
  node_peer_close(&peer);
  node_child_stop(&node);
}

int main(void) {
  if (!mkdtemp(directory)) return 1;
  node_child node = start(NULL, NULL);
  test_rights(&node);
  test_nonsense(&node);
  test_leaving(&node);
  test_one_turn(&node);
  test_last_acks(&node);
  test_streams(&node);
  test_links(&node);
  test_parking(&node);
  test_timings(&node);
  tap_ok(node_child_stop(&node), "the node ends with nothing open");
  test_restart(true);
  test_restart(false);
  test_like_23();
  test_slow();
  test_backlog();
  test_swallowed();
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", directory);
  return system(command) != 0 || tap_done();
}

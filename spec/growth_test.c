/* What one event costs does not grow with how many of anything there are: consumers, events in
 * flight, transactions. The same work is timed among few and among many. */
#include "tap.h"

#include <time.h>

#include "group_peer.h"
#include "node/group.h"
#include "node/store.h"

enum { FEW = 200, MANY = 10000, ROUNDS = 5, TURNS = 2000 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Microseconds for one, at best: others may be at work on this machine. */
static double best_of(double (*cost)(int count), int count) {
  double best = cost(count);
  for (int i = 1; i < ROUNDS; i++) {
    double next = cost(count);
    if (next < best) best = next;
  }
  return best;
}

/* What grows with their number takes fifty times as long, or a few hundred. */
static void check(double (*cost)(int count), int many, const char *what) {
  double few = best_of(cost, FEW), more = best_of(cost, many);
  tap_ok(more < 8 * few + 1, "%s costs %.2f us among %d, %.2f among %d", what, few, FEW, more,
         many);
}

/* ---- The machine of a group --------------------------------------------------------------- */

static pump_guid guid_of(int64_t number) {
  pump_guid id = {{0}};
  memcpy(id.bytes, &number, sizeof number);
  return id;
}

static pump_offer take(void *ud, pump_group_consumer *to, const pump_message *message) {
  (void)ud;
  (void)to;
  (void)message;
  return PUMP_OFFER_TAKEN;
}

static int refuse(void *ud, const pump_message *message, pump_parking why, pump_bytes words) {
  (void)ud;
  (void)message;
  (void)why;
  (void)words;
  return PUMP_ESTORE;
}

/* Consumers with an event each, or one with all of them. */
static pump_group_consumer *begin(pump_group *group, int consumers, int events,
                                  pump_strategy_kind strategy) {
  pump_group_rules rules = {
      .buffer = 10000, .read_batch = 10000, .max_retries = TURNS, .strategy = strategy};
  pump_group_outside outside = {take, refuse, NULL};
  pump_group_consumer *all = calloc((size_t)consumers, sizeof *all);
  pump_group_init(group, &rules, &outside, false, 0, -1, 1);
  for (int i = 0; i < consumers; i++)
    pump_group_join(group, &all[i], (size_t)(events / consumers));
  for (int i = 0; i < events; i++) {
    pump_guid id = guid_of(i);
    pump_group_add(group, i, &id, (uint64_t)i);
  }
  pump_group_push(group, 0);
  return all;
}

/* Everybody has an event; one is done with his, and gets the next. */
static double time_turns(int consumers, pump_strategy_kind strategy) {
  pump_group group;
  pump_group_consumer *all = begin(&group, consumers, consumers, strategy);
  double start = now();
  for (int i = 0; i < TURNS; i++) {
    pump_guid done = guid_of(i), next = guid_of(consumers + i);
    pump_group_ack(&group, &done, 0);
    pump_group_add(&group, consumers + i, &next, (uint64_t)i);
    pump_group_push(&group, 0);
  }
  double cost = (now() - start) / TURNS;
  pump_group_free(&group);
  free(all);
  return cost;
}

static double cost_of_turn(int count) {
  return time_turns(count, PUMP_ROUND_ROBIN);
}

static double cost_of_turn_to_single(int count) {
  return time_turns(count, PUMP_DISPATCH_TO_SINGLE);
}

static double cost_of_leaving(int count) {
  pump_group group;
  pump_group_consumer *all = begin(&group, count, count, PUMP_ROUND_ROBIN);
  double start = now();
  for (int i = 0; i < count; i++)
    pump_group_leave(&group, &all[i]);
  double cost = (now() - start) / count;
  pump_group_free(&group);
  free(all);
  return cost;
}

/* One after the other, always so many further. */
static double time_retries(int count, int64_t step) {
  pump_group group;
  pump_group_consumer *one = begin(&group, 1, count, PUMP_ROUND_ROBIN);
  double start = now();
  for (int64_t i = 1; i <= count; i++) {
    pump_guid id = guid_of(((step * i) % count + count) % count);
    pump_group_nak(&group, &id, PUMP_NAK_RETRY, (pump_bytes){0}, 0);
  }
  double cost = (now() - start) / count;
  int64_t number = 0;
  for (pump_message *at = group.retrying.first; at; at = at->next)
    if (at->number != number++) cost = 1e9;
  if (number != count) cost = 1e9;
  pump_group_free(&group);
  free(one);
  return cost;
}

static double cost_of_retry_backward(int count) {
  return time_retries(count, -1);
}

static double cost_of_retry_here_and_there(int count) {
  return time_retries(count, 7919);
}

/* One that nobody else comes again with. */
static double cost_of_retry_alone(int count) {
  pump_group group;
  pump_group_consumer *one = begin(&group, 1, count, PUMP_ROUND_ROBIN);
  double start = now();
  for (int i = 0; i < TURNS; i++) {
    pump_guid id = guid_of(count / 2 + i % 50);
    pump_group_nak(&group, &id, PUMP_NAK_RETRY, (pump_bytes){0}, 0);
    pump_group_push(&group, 0);
  }
  double cost = (now() - start) / TURNS;
  pump_group_free(&group);
  free(one);
  return cost;
}

static void test_machine(void) {
  check(cost_of_turn, MANY, "an event to one of the consumers, RoundRobin,");
  check(cost_of_turn_to_single, MANY, "an event to one of the consumers, DispatchToSingle,");
  check(cost_of_leaving, MANY, "to leave with an event in flight");
  check(cost_of_retry_backward, MANY, "an event that comes again, the last one first,");
  check(cost_of_retry_alone, MANY, "an event that comes again by itself");
  check(cost_of_retry_here_and_there, MANY, "an event that comes again, one here and one there,");
}

/* ---- A node ------------------------------------------------------------------------------- */

static node_child node;

static void put_join(node_peer *peer, unsigned number) {
  uint8_t body[32];
  pump_tcp_correlation id = id_of(3, number);
  uint8_t *end = pump_pb_put_bytes(pump_pb_put_bytes(body, 1, "g", 1), 2, "s", 1);
  end = pump_pb_put_number(end, 3, 1);
  pump_tcp_frame_write(&peer->out, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, &id,
                       pump_bytes_of("admin"), pump_bytes_of("changeit"),
                       (pump_bytes){(char *)body, (size_t)(end - body)});
}

static void put_unsubscribe(node_peer *peer, unsigned number) {
  pump_tcp_correlation id = id_of(3, number);
  pump_tcp_frame_write(&peer->out, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, &id, no_bytes, no_bytes,
                       no_bytes);
}

/* So many answers of that kind to as many requests. */
static bool ask_all(node_peer *peer, void (*put)(node_peer *peer, unsigned number), int count,
                    uint8_t answer) {
  pump_tcp_frame frame;
  for (int i = 0; i < count; i++) {
    put(peer, (unsigned)i);
    if ((i + 1) % 100 != 0) continue;
    if (!node_peer_flush(peer)) return false;
    for (int k = 0; k < 100; k++)
      if (!node_peer_receive(peer, &frame) || frame.command != answer) return false;
  }
  return true;
}

static double cost_of_joining(int count) {
  node_peer peer;
  node_peer_connect(&peer, node.port);
  double start = now();
  bool is_good = ask_all(&peer, put_join, count, PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION) &&
                 ask_all(&peer, put_unsubscribe, count, PUMP_TCP_SUBSCRIPTION_DROPPED);
  double cost = is_good ? (now() - start) / count : 1e9;
  node_peer_close(&peer);
  return cost;
}

/* Each time a group is made the text of all is written anew. */
static void test_texts(node_peer *peer) {
  enum { GROUPS = 40 };
  char name[16];
  int made = 0, texts = 0;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(6, 0);
  PumpTcp__ReadAllEvents body = PUMP_TCP__READ_ALL_EVENTS__INIT;
  for (int i = 0; i < GROUPS; i++) {
    snprintf(name, sizeof name, "g%d", i);
    made += create(peer, "many", name, &usual);
  }
  body.has_max_count = true;
  body.max_count = 1000;
  pump_tcp_pack(&peer->out, PUMP_TCP_READ_ALL_FORWARD, &id, pump_bytes_of("admin"),
                pump_bytes_of("changeit"), &body.base);
  bool is_read = node_peer_flush(peer) && node_peer_receive(peer, &frame);
  ProtobufCMessage *message = is_read ? pump_tcp_unpack(frame.command, frame.payload) : NULL;
  const PumpTcp__ReadAllEventsCompleted *page = (const void *)message;
  for (size_t i = 0; page && i < page->n_events; i++)
    texts += pump_bytes_is(pump_tcp_view(page->events[i]->event->event_stream_id),
                           "$persistentSubscriptionConfig");
  if (message) pump_tcp_unpack_free(message);
  tap_ok(made == GROUPS && texts > 0 && texts < 5, "of %d groups no more than %d texts are left",
         made, texts);
}

static void test_node(void) {
  node_peer peer;
  node = start(NULL, NULL);
  node_peer_connect(&peer, node.port);
  tap_ok(create(&peer, "s", "g", &usual), "a group");
  test_texts(&peer);
  node_peer_close(&peer);
  check(cost_of_joining, MANY, "a consumer of it that comes and goes on one connection");
  tap_ok(node_child_stop(&node), "the node ends with nothing open");
}

/* ---- The store ---------------------------------------------------------------------------- */

#define DAY (INT64_C(25) * 3600 * 1000000)

/* One that is forgotten after a day may be large, or there may be many. */
static void test_transactions(void) {
  enum { COUNT = 1000, BUDGET = 100 };
  pump_store *store;
  char error[200];
  int64_t id = 0, first = 0, stream = 0;
  pump_store_written written;
  pump_store_transaction found;
  pump_new_event event = {.type = pump_bytes_of("t")};
  pump_store_open(&store, NULL, false, error, sizeof error);
  for (int64_t i = 0; i < COUNT; i++) {
    event.id = guid_of(i + 1);
    if (i % 4 == 0) pump_store_start_transaction(store, pump_bytes_of("s"), PUMP_ANY, 1, &id);
    if (i == 0) first = id;
    pump_store_extend_transaction(store, id, &event, 1);
  }
  pump_store_start_transaction(store, pump_bytes_of("s"), PUMP_ANY, DAY, &id);
  event.id = guid_of(-1);
  pump_store_append(store, pump_bytes_of("s"), PUMP_ANY, &event, 1, 1, &written);
  pump_store_commit(store);
  int steps = 0;
  bool is_done = false;
  for (; !is_done && steps < COUNT; steps++)
    if (pump_store_scavenge(store, &stream, BUDGET, INT64_MAX, DAY + 1000000, &is_done) != 0) break;
  pump_store_commit(store);
  tap_ok(is_done && steps > COUNT / BUDGET && steps < 2 * COUNT / BUDGET,
         "%d events of old transactions go a few at a time, in %d steps", COUNT, steps);
  pump_store_find_transaction(store, first, &found);
  bool is_gone = !found.stream;
  pump_store_find_transaction(store, id, &found);
  tap_ok(is_gone && found.stream, "and the transactions with them, but for a young one");
  free(found.stream);
  pump_store_close(store);
}

static bool count_event(void *ud, const pump_event *event) {
  ++*(int *)ud;
  return event != NULL;
}

/* The pages that a stream is read in from the start, and its events. */
static int count_pages(pump_store *store, const char *stream, int64_t time, int *events) {
  pump_read read = {.max_count = 20};
  pump_store_page page = {.is_end = false};
  int pages = 0;
  *events = 0;
  for (; !page.is_end && pages < MANY; pages++, read.from = page.next)
    if (pump_store_read_stream(store, pump_bytes_of(stream), &read, time, count_event, events,
                               &page) != 0)
      break;
  return pages;
}

static void append(pump_store *store, const char *stream, int count, const char *data,
                   int64_t time) {
  static int64_t counter;
  pump_store_written written;
  pump_new_event event = {
      .type = pump_bytes_of("t"), .data = pump_bytes_of(data), .is_json = data[0] == '{'};
  for (int i = 0; i < count; i++) {
    event.id = guid_of(++counter);
    pump_store_append(store, pump_bytes_of(stream), PUMP_ANY, &event, 1, time, &written);
  }
}

/* What age hides of a stream is passed over as by 23.10; older servers go through it page by page. */
static void test_aged(void) {
  enum { OLD = 2000, SECOND = 1000000 };
  static const struct {
    int64_t time;
    int old, pages, events;
  } cases[] = {{11 * SECOND, OLD / 20 + 1, 2, 5}, {30 * SECOND, OLD / 20 + 1, 1, 0}};
  pump_store *store;
  char error[200];
  int events;
  pump_store_open(&store, NULL, false, error, sizeof error);
  append(store, "$$aged", 1, "{\"$maxAge\":5}", 1);
  append(store, "aged", OLD, "x", 1);
  append(store, "aged", 5, "x", 10 * SECOND);
  for (size_t i = 0; i < 2; i++) {
    int pages = count_pages(store, "aged", cases[i].time, &events);
    tap_ok(pages == cases[i].old && events == cases[i].events,
           "%d events of a stream that age left are found in %d pages", events, pages);
  }
  pump_store_pass_aged(store);
  for (size_t i = 0; i < 2; i++) {
    int pages = count_pages(store, "aged", cases[i].time, &events);
    tap_ok(pages == cases[i].pages && events == cases[i].events, "or in %d of them (%d events)",
           pages, events);
  }
  pump_store_close(store);
}

int main(void) {
  test_machine();
  test_node();
  test_transactions();
  test_aged();
  return tap_done();
}

/* What a program may do from inside a callback: close the client, close what follows streams, or ask
 * for more. Each callback that there is does each of these once, in the middle of a life that has
 * everything: requests, a subscription, a consumer, lost connections and the end of the server.
 * Under AddressSanitizer this is a spec of who frees what when. */
#include "tap.h"

#include <string.h>
#include <unistd.h>

#include <pump.h>
#include <pump_node.h>
#include <uv.h>
#include "base/bytes.h"
#include "slow.h"

#define CALLBACKS(XX)                                                                              \
  XX(CONNECT)                                                                                      \
  XX(PING)                                                                                         \
  XX(APPEND)                                                                                       \
  XX(READ)                                                                                         \
  XX(FAILED)                                                                                       \
  XX(OPEN)                                                                                         \
  XX(CONNECTED)                                                                                    \
  XX(DISCONNECTED)                                                                                 \
  XX(RECONNECTING)                                                                                 \
  XX(CLOSED)                                                                                       \
  XX(EVENTS)                                                                                       \
  XX(LIVE)                                                                                         \
  XX(GAP)                                                                                          \
  XX(ENDED)                                                                                        \
  XX(PUSHED)                                                                                       \
  XX(CONSUMING)                                                                                    \
  XX(LOST)                                                                                         \
  XX(DROPPED)
#define XX(name) name,
enum { CALLBACKS(XX) MANY };
#undef XX
static const char *const names[] = {
#define XX(name) #name,
    CALLBACKS(XX)
#undef XX
};

enum { CLOSE, LEAVE, ASK, ACTIONS };
static const char *const actions[] = {"closes the client", "closes what follows", "asks for more"};

enum { FOLLOWERS = 2 };

static uv_loop_t loop;
static pump_node *node;
static pump_client *client; /* NULL once it is being closed */
static pump_subscription *subscriptions[FOLLOWERS];
static pump_consumer *consumers[FOLLOWERS];
static int which, action;
static int called[MANY];
static int asked, answered; /* requests that were accepted, and their answers */
static int connects;        /* may be asked again */
static bool is_done, is_closed;

static void do_it(int callback);

/* ---- Callbacks ---------------------------------------------------------------------------- */

static void on_result(pump_client *of, const pump_result *result, void *ud) {
  (void)of;
  answered++;
  do_it(result->status == 0 ? *(const int *)ud : FAILED);
}

static int on_open(void *ud, int *fd) {
  do_it(OPEN);
  return node ? pump_node_opener(ud, fd) : PUMP_ECLOSED;
}

static void on_connected(pump_client *of, void *ud) {
  (void)of, (void)ud;
  do_it(CONNECTED);
}

static void on_disconnected(pump_client *of, int code, const char *reason, void *ud) {
  (void)of, (void)code, (void)reason, (void)ud;
  do_it(DISCONNECTED);
}

static void on_reconnecting(pump_client *of, unsigned attempt, uint64_t delay, void *ud) {
  (void)of, (void)attempt, (void)delay, (void)ud;
  do_it(RECONNECTING);
}

static void on_ended_by_itself(pump_client *of, int code, const char *reason, void *ud) {
  (void)of, (void)code, (void)reason, (void)ud;
  do_it(CLOSED);
}

static void on_events(pump_subscription *self, pump_page *page, size_t first, void *ud) {
  (void)ud;
  size_t count = page->count - first;
  pump_subscription_took(self, count);
  do_it(EVENTS);
}

static void on_live(pump_subscription *self, void *ud) {
  (void)self, (void)ud;
  do_it(LIVE);
}

static void on_gap(pump_subscription *self, int code, void *ud) {
  (void)self, (void)code, (void)ud;
  do_it(GAP);
}

static void on_ended(pump_subscription *self, const pump_result *result, void *ud) {
  (void)self, (void)result, (void)ud;
  do_it(ENDED);
}

static void on_pushed(pump_consumer *self, pump_page *page, size_t first, void *ud) {
  (void)ud;
  for (size_t i = first; i < page->count; i++) {
    pump_guid id = pump_event_id(&page->events[i]);
    pump_consumer_ack(self, &id, 1);
  }
  pump_consumer_took(self, page->count - first);
  do_it(PUSHED);
}

static void on_consuming(pump_consumer *self, void *ud) {
  (void)self, (void)ud;
  do_it(CONSUMING);
}

static void on_consumer_lost(pump_consumer *self, int code, void *ud) {
  (void)self, (void)code, (void)ud;
  do_it(LOST);
}

static void on_consumer_ended(pump_consumer *self, const pump_result *result, void *ud) {
  (void)self, (void)result, (void)ud;
  do_it(DROPPED);
}

static void on_closed(void *ud) {
  (void)ud;
  is_closed = true;
}

/* ---- What is done ------------------------------------------------------------------------- */

static const int kinds[] = {CONNECT, PING, APPEND, READ};

static void ask(int code) {
  asked += code == 0;
}

static void ask_all(void) {
  pump_new_event event = {.type = {"t", 1}, .data = {"{}", 2}, .is_json = true};
  pump_read read = {.max_count = 10};
  pump_bytes stream = {"s", 1};
  ask(pump_client_ping(client, NULL, on_result, (void *)&kinds[1]));
  ask(pump_client_append(client, stream, PUMP_ANY, &event, 1, NULL, on_result, (void *)&kinds[2]));
  ask(pump_client_read_stream(client, stream, &read, NULL, on_result, (void *)&kinds[3]));
}

static void leave_all(void) {
  for (int i = 0; i < FOLLOWERS; i++) {
    if (subscriptions[i]) pump_subscription_close(subscriptions[i]);
    if (consumers[i]) pump_consumer_close(consumers[i]);
    subscriptions[i] = NULL;
    consumers[i] = NULL;
  }
}

static void follow(int i) {
  static const pump_subscription_events events = {on_events, on_live, on_gap, on_ended, NULL};
  static const pump_consumer_events group = {on_pushed, on_consuming, on_consumer_lost,
                                             on_consumer_ended};
  pump_subscribe subscribe;
  pump_subscribe_init(&subscribe);
  subscribe.is_volatile = i == 1;
  pump_bytes stream = {"s", 1}, name = {"g", 1};
  if (!subscriptions[i])
    pump_client_subscribe(&subscriptions[i], client, stream, &subscribe, NULL, &events, NULL);
  if (!consumers[i])
    pump_client_consume(&consumers[i], client, name, stream, 2, NULL, &group, NULL);
}

static void close_client(void) {
  pump_client *closed = client;
  client = NULL;
  if (closed) pump_client_close(closed, on_closed, NULL);
}

static void do_it(int callback) {
  called[callback]++;
  if (callback != which || is_done) return;
  is_done = true;
  if (action == CLOSE) {
    close_client();
  } else if (action == LEAVE) {
    leave_all();
  } else if (client) {
    ask_all();
    for (int i = 0; i < FOLLOWERS; i++)
      follow(i);
    if (connects-- > 0) ask(pump_client_connect(client, on_result, (void *)&kinds[0]));
  }
}

/* ---- A life ------------------------------------------------------------------------------- */

static void turn_until(const int *count, int wanted) {
  uint64_t deadline = uv_hrtime() + (uint64_t)slowness() * UINT64_C(2000000000);
  while (client && *count < wanted && uv_hrtime() < deadline)
    uv_run(&loop, UV_RUN_ONCE);
}

static void start(void) {
  pump_node_options node_options;
  pump_options options;
  char error[200];
  uv_loop_init(&loop);
  pump_node_options_init(&node_options);
  pump_node_new(&node, &loop, &node_options, error, sizeof error);
  pump_options_init(&options);
  options.open = on_open;
  options.open_ud = node;
  options.reconnect_delay = 1;
  options.reconnect_max_delay = 2;
  options.timeout = 1000 * (uint64_t)slowness();
  pump_client_new(&client, &loop, &options);
  pump_client_on_connected(client, on_connected, NULL);
  pump_client_on_disconnected(client, on_disconnected, NULL);
  pump_client_on_reconnecting(client, on_reconnecting, NULL);
  pump_client_on_closed(client, on_ended_by_itself, NULL);
}

static void live(void) {
  pump_group_settings settings;
  pump_group_settings_init(&settings);
  settings.from = 0;
  int made = 0;
  ask(pump_client_connect(client, on_result, (void *)&kinds[0]));
  turn_until(&called[CONNECT], 1);
  if (client)
    ask(pump_client_create_group(client, (pump_bytes){"g", 1}, (pump_bytes){"s", 1}, &settings,
                                 NULL, on_result, (void *)&kinds[1]));
  made = asked;
  turn_until(&answered, made);
  for (int i = 0; client && i < FOLLOWERS; i++)
    follow(i);
  bool has_left = action == LEAVE && (which == LIVE || which == CONSUMING);
  turn_until(&called[which == LIVE ? LIVE : CONSUMING], has_left ? 1 : 2);
  turn_until(&called[LIVE], has_left ? 0 : 2);
  for (int round = 1; client && round <= 2; round++) {
    ask_all();
    turn_until(&answered, asked);
    if (client) ask_all();
    pump_node_drop_connections(node);
    turn_until(&called[CONNECTED], round + 1);
    turn_until(&answered, asked);
  }
  if (client) ask_all();
}

static void stop(void) {
  pump_node_close(node, NULL, NULL);
  node = NULL;
  turn_until(&called[CLOSED], 1);
  close_client();
  uv_run(&loop, UV_RUN_DEFAULT);
  leave_all();
}

static void play(int callback, int what) {
  memset(called, 0, sizeof called);
  which = callback;
  action = what;
  asked = answered = 0;
  connects = 1;
  is_done = is_closed = false;
  start();
  live();
  stop();
  bool is_empty = uv_loop_close(&loop) == 0;
  tap_ok(is_done && is_closed && is_empty && asked == answered,
         "%s %s: %d requests, %d answers%s%s%s", names[callback], actions[what], asked, answered,
         is_done ? "" : ", never called", is_closed ? "" : ", not closed",
         is_empty ? "" : ", something is left");
}

int main(void) {
  for (int callback = 0; callback < MANY; callback++)
    for (int what = 0; what < ACTIONS; what++)
      play(callback, what);
  return tap_done();
}

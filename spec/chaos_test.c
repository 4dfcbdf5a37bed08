/* Clients that write and subscribe while everything goes wrong: connections are cut at every kind
 * of moment, stand still, are refused; the node is killed and starts again with its file, moves,
 * refuses, answers late, twice, by the byte or not at all. Then all is well again, and it is proved
 * that no write that was answered is missing, none is there twice, none that failed for sure is
 * there; that each subscription had every event once and in order; that consumers of groups had all of
 * them, and none again that they had acked for sure; and that nothing waited for
 * longer than its deadline. First plain, then by TLS: `chaos_test
 * [SECONDS [SEED]]`, so many seconds of each. */
#include "tap.h"

#include "chaos.h"
#include "chaos_consumers.h"
#include "chaos_readers.h"
#include "chaos_writers.h"

static char folder[128];

/* What one round has, beside what chaos.h has. */
static struct {
  bool is_secure;
  char file[160];
  unsigned kills, faults, stalls, drops;
  bool is_starting;
  unsigned connected, closed;
  pump_client *judge; /* reads what is there in the end */
  int64_t counts[STREAMS];
  int looking_at;
  unsigned misplaced, strange;
} at;

static void on_tick(uv_timer_t *tick) {
  (void)tick; /* the loop turns */
}

static bool never(void) {
  return false;
}

/* Runs the loop until it holds, or for so many ms. */
static bool run_until(bool (*holds)(void), unsigned patience) {
  unsigned start = chaos_now();
  if (holds != never) patience *= (unsigned)slowness();
  uv_timer_t tick;
  uv_timer_init(&chaos.loop, &tick);
  uv_timer_start(&tick, on_tick, 5, 5);
  while (!holds() && chaos_now() - start < patience) {
    chaos.turn_began = chaos_now();
    uv_run(&chaos.loop, UV_RUN_ONCE);
    chaos_turn_ended();
  }
  uv_close((uv_handle_t *)&tick, NULL);
  uv_run(&chaos.loop, UV_RUN_NOWAIT);
  return holds();
}

/* The same, as long as anything comes within so many ms: a slow machine is given its time. */
static bool run_while_events_come(bool (*holds)(void), unsigned patience) {
  unsigned before;
  do
    before = chaos.events + chaos_counts.came;
  while (!run_until(holds, patience) && chaos.events + chaos_counts.came > before);
  return holds();
}

/* ---- The node ----------------------------------------------------------------------------- */

static bool start_node(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = at.file;
  options.listen = "127.0.0.1:0";
  char cert[160], key[160];
  snprintf(cert, sizeof cert, "%s/good.pem", folder);
  snprintf(key, sizeof key, "%s/good.key", folder);
  options.tls_cert = at.is_secure ? cert : NULL;
  options.tls_key = at.is_secure ? key : NULL;
  chaos.node = node_child_start(&options);
  chaos.relay.target = chaos.other.target = chaos.node.port;
  chaos.lives++;
  return chaos.node.port != 0;
}

static void start_again(void *ud) {
  (void)ud;
  if (!start_node()) chaos_odd("the node does not start again");
  at.is_starting = false;
}

static void kill_node(unsigned pause) {
  if (at.is_starting) return;
  at.is_starting = true;
  at.kills++;
  node_child_kill(&chaos.node);
  if (pause == 0)
    start_again(NULL);
  else
    chaos_later(pause, start_again, NULL);
}

static void tell_node(node_order *order) {
  if (at.is_starting) return;
  if (order->faults.not_handled == PUMP_ENOTLEADER)
    snprintf(order->leader, sizeof order->leader, "127.0.0.1:%d",
             dice(2) ? chaos.relay.port : chaos.other.port);
  node_child_tell(&chaos.node, order);
}

/* ---- Trouble ------------------------------------------------------------------------------ */

static void all_pairs(void (*each)(relay_pair *pair)) {
  for (relay_pair *pair = chaos.relay.pairs; pair; pair = pair->next)
    each(pair);
  for (relay_pair *pair = chaos.other.pairs; pair; pair = pair->next)
    each(pair);
}

static relay_pair *any_pair(void) {
  relay *of = dice(2) && chaos.other.pairs ? &chaos.other : &chaos.relay;
  relay_pair *pair = of->pairs;
  for (unsigned i = dice(CLIENTS); pair && i > 0 && pair->next; i--)
    pair = pair->next;
  return pair;
}

static size_t some_bytes(void) {
  static const unsigned most[] = {4, 30, 300, 5000, 100000};
  return 1 + dice(most[dice(5)]);
}

static void go_on(relay_pair *pair) {
  relay_stall(pair, false);
}

static void go_on_all(void *ud) {
  (void)ud;
  chaos.relay.refuses = chaos.other.refuses = false;
  all_pairs(go_on);
}

static void trouble_connection(void) {
  relay_pair *pair = any_pair();
  switch (dice(8)) {
  case 0:
  case 1: /* what comes next does not get far */
    chaos.relay.left_of_next[dice(2)] = some_bytes();
    chaos.other.left_of_next[dice(2)] = some_bytes();
    if (pair) relay_cut(pair, dice(2));
    break;
  case 2:
  case 3:
  case 4:
    if (pair) relay_cut_after(pair, (int)dice(2), some_bytes());
    break;
  case 5:
    if (pair) relay_stall(pair, true);
    at.stalls++;
    chaos_later(dice(4) ? dice(100) : 700, go_on_all, NULL);
    break;
  case 6:
    chaos.relay.refuses = chaos.other.refuses = true;
    chaos_later(dice(100), go_on_all, NULL);
    break;
  default:
    if (pair) relay_cut(pair, dice(2));
  }
}

static int any_refusal(void) {
  static const int codes[] = {PUMP_ENOTREADY, PUMP_EBUSY, PUMP_ENOTLEADER, PUMP_ENOTLEADER};
  return codes[dice(4)];
}

static void trouble_node(void) {
  node_order order = {.faults = {.count = 1 + dice(20), .only = (int)dice(3)}};
  at.faults++;
  switch (dice(10)) {
  case 0: kill_node(dice(2) ? 0 : dice(150)); break;
  case 1:
    order.drops = true;
    order.faults.count = 0;
    at.drops++;
    break;
  case 2:
  case 3: order.faults.not_handled = any_refusal(); break;
  case 4:
    order.faults.silent = true;
    order.faults.count = 1 + dice(3);
    break;
  case 5: order.faults.delay = 1 + dice(200); break;
  case 6: order.faults.duplicate = true; break;
  case 7: order.faults.one_byte = true; break;
  default:
    order.faults.cut = true;
    order.faults.cut_at = some_bytes() % 600;
    order.faults.count = 1 + dice(3);
  }
  tell_node(&order);
}

static void trouble(void *ud) {
  (void)ud;
  if (!chaos.is_troubled) return;
  if (dice(4))
    trouble_connection();
  else
    trouble_node();
  chaos_later(dice(30), trouble, NULL);
}

/* The connections of the end are those on which last of all much is refused, acks too. */
static void end_trouble(void) {
  node_order order = {.drops = false}, refusals = {.faults = {.count = 20 + dice(200)}};
  chaos.is_troubled = false;
  memset(chaos.relay.left_of_next, 0, sizeof chaos.relay.left_of_next);
  memset(chaos.other.left_of_next, 0, sizeof chaos.other.left_of_next);
  run_until(never, 800); /* what was to go on, does */
  go_on_all(NULL);
  refusals.faults.only = PUMP_NODE_WRITES;
  refusals.faults.not_handled = any_refusal();
  tell_node(&refusals);
  run_until(never, 200);
  tell_node(&order);
}

/* ---- Clients ------------------------------------------------------------------------------ */

static void on_connected(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  (void)ud;
  if (result->status == 0)
    at.connected++;
  else
    chaos_odd("%s", result->message);
}

static pump_client *connect_to(int port) {
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  options.port = port;
  char ca[160];
  snprintf(ca, sizeof ca, "%s/ca.pem", folder);
  options.tls.enable = at.is_secure;
  options.tls.ca = ca;
  options.username = "admin";
  options.password = "changeit";
  options.heartbeat_interval = 200;
  options.heartbeat_timeout = 300 * (uint64_t)slowness();
  options.connect_timeout *= (uint64_t)slowness();
  options.reconnect_delay = 10;
  options.reconnect_max_delay = 100;
  if (pump_client_new(&client, &chaos.loop, &options) != 0 ||
      pump_client_connect(client, on_connected, NULL) != 0)
    abort();
  return client;
}

static bool all_are_connected(void) {
  return at.connected >= CLIENTS;
}

static bool nothing_is_in_flight(void) {
  return chaos_writes_in_flight() == 0;
}

static void on_closed(void *ud) {
  (void)ud;
  at.closed++;
}

/* ---- The verdict -------------------------------------------------------------------------- */

static void look(void);

static void look_at(const pump_event *event) {
  unsigned number, part = event->record->id.bytes[0];
  memcpy(&number, event->record->id.bytes + 8, sizeof number);
  chaos_write *write = number < chaos.count ? &chaos.writes[number] : NULL;
  if (!write || write->stream != at.looking_at || part < 1 || part > write->count) {
    at.strange++;
    return;
  }
  write->stands[part - 1]++;
  if (write->state == CHAOS_DONE && event->record->number != write->first + part - 1)
    at.misplaced++;
}

static void on_page(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  (void)ud;
  if (result->status != 0 && result->status != PUMP_ENOSTREAM) {
    chaos_odd("the end can't be read: %s", result->message);
    at.looking_at = STREAMS;
    return;
  }
  for (size_t i = 0; result->status == 0 && i < result->page->count; i++)
    look_at(&result->page->events[i]);
  if (result->status == 0) at.counts[at.looking_at] += (int64_t)result->page->count;
  if (result->status != 0 || result->page->is_end) at.looking_at++;
  look();
}

static void look(void) {
  if (at.looking_at >= STREAMS) return;
  pump_read read = {.from = at.counts[at.looking_at], .max_count = 1000};
  if (pump_client_read_stream(at.judge, chaos_name(at.looking_at), &read, NULL, on_page, NULL) != 0)
    at.looking_at = STREAMS;
}

static bool all_is_looked_at(void) {
  return at.looking_at >= STREAMS;
}

static bool readers_have_all(void) {
  return chaos_readers_are_at(at.counts);
}

static bool consumers_have_all(void) {
  return chaos_consumers_are_at(at.counts);
}

static void check_writes(void) {
  unsigned lost = 0, twice = 0, torn = 0, undead = 0, unknown_there = 0;
  for (unsigned i = 0; i < chaos.count; i++) {
    const chaos_write *write = &chaos.writes[i];
    unsigned there = 0;
    for (unsigned part = 0; part < write->count; part++) {
      there += write->stands[part] > 0;
      twice += write->stands[part] > 1;
    }
    torn += there > 0 && there < write->count;
    lost += write->state == CHAOS_DONE && there == 0;
    undead += write->state == CHAOS_FAILED && there > 0;
    unknown_there += write->state == CHAOS_UNKNOWN && there > 0;
  }
  tap_ok(chaos.states[CHAOS_DONE] > 100 / (unsigned)slowness() && lost == 0,
         "%u of %u writes were answered as done, and none is missing (%u)",
         chaos.states[CHAOS_DONE], chaos.count, lost);
  tap_ok(twice == 0, "no event is there twice (%u)", twice);
  tap_ok(torn == 0, "no write is there by half (%u)", torn);
  tap_ok(undead == 0, "of %u writes that failed for sure none is there (%u)",
         chaos.states[CHAOS_FAILED], undead);
  tap_ok(at.misplaced == 0 && at.strange == 0,
         "every event is where its answer said (%u are not), and there are no others (%u)",
         at.misplaced, at.strange);
  printf("# nobody knew of %u writes: %u are there\n", chaos.states[CHAOS_UNKNOWN], unknown_there);
}

static void report(unsigned seconds) {
  printf("# %u s: %u cuts of %u connections, %u stalls, %u faults, %u drops, the node "
         "killed %u "
         "times\n",
         seconds, chaos.relay.cuts + chaos.other.cuts,
         chaos.relay.connections + chaos.other.connections, at.stalls, at.faults, at.drops,
         at.kills);
  printf("# %u events came to %d subscriptions, which began again %u times and told of %u gaps; "
         "the longest answer took %u ms, the longest turn of the loop %u\n",
         chaos.events, READERS, chaos.resumed, chaos.gaps, chaos.longest, chaos.longest_turn);
  printf("# %d consumers of %d groups acked %u events, of which the node took %u for sure; %u came "
         "again\n",
         CONSUMERS, GROUPS, chaos_counts.acked, chaos_counts.taken, chaos_counts.again);
}

static bool all_are_closed(void) {
  return at.closed == CLIENTS + 1;
}

/* What is left are the timers, which have come. */
static bool the_loop_is_empty(void) {
  return !uv_loop_alive(&chaos.loop);
}

static void finish(void) {
  for (int i = 0; i < CLIENTS; i++)
    pump_client_close(chaos.clients[i], on_closed, NULL);
  pump_client_close(at.judge, on_closed, NULL);
  tap_ok(run_until(all_are_closed, 5000), "the clients close");
  relay_close(&chaos.relay);
  relay_close(&chaos.other);
  tap_ok(run_until(the_loop_is_empty, 5000), "no handle is left on the loop");
  tap_ok(uv_loop_close(&chaos.loop) == 0, "and it closes");
  tap_ok(node_child_stop(&chaos.node), "the node ends in order");
}

/* One time of trouble and what came of it. */
static void test_round(bool is_secure, unsigned seconds, uint64_t seed) {
  memset(&at, 0, sizeof at);
  memset(&chaos, 0, sizeof chaos);
  at.is_secure = is_secure;
  snprintf(at.file, sizeof at.file, "%s/%s.db", folder, is_secure ? "secure" : "plain");
  chaos.random = seed;
  uv_loop_init(&chaos.loop);
  bool is_good = relay_open(&chaos.relay, &chaos.loop, 0) &&
                 relay_open(&chaos.other, &chaos.loop, 0) && start_node();
  for (int i = 0; i < CLIENTS; i++)
    chaos.clients[i] = connect_to(chaos.relay.port);
  tap_ok(is_good && run_until(all_are_connected, 5000), "%d clients connect%s", CLIENTS,
         is_secure ? " by TLS" : "");
  chaos_make_groups();
  tap_ok(run_until(chaos_groups_are_made, 5000), "%d groups are made", GROUPS);
  chaos.is_troubled = true;
  chaos_start_writers();
  chaos_start_readers();
  chaos_start_consumers();
  trouble(NULL);
  run_until(never, seconds * 1000);
  end_trouble();
  chaos.is_ending = true;
  bool is_answered = run_until(nothing_is_in_flight, PATIENCE + 5000);
  tap_ok(is_answered, "every write is answered (%u are not)", chaos_writes_in_flight());
  at.judge = connect_to(chaos.node.port);
  look();
  tap_ok(run_until(all_is_looked_at, 60000), "all of it can be read");
  if (!tap_ok(run_while_events_come(readers_have_all, 20000),
              "every subscription comes to the end"))
    chaos_tell_readers(at.counts);
  int64_t lack = chaos_consumers_lack(at.counts);
  unsigned start = chaos_now();
  if (!tap_ok(run_while_events_come(consumers_have_all, 20000), "every group comes to the end"))
    chaos_tell_consumers(at.counts);
  printf("# then the groups lacked %" PRId64 " events, which took %u ms\n", lack,
         chaos_now() - start);
  run_until(never, 100);
  chaos_stop_readers();
  chaos_stop_consumers();
  check_writes();
  tap_ok(chaos.odd == 0, "and nothing odd happened (%u)", chaos.odd);
  report(seconds);
  finish();
  free(chaos.writes);
}

int main(int argc, char **argv) {
  unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  const char *tmp = getenv("TMPDIR");
  char command[200];
  snprintf(folder, sizeof folder, "%s/pump-chaos-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  snprintf(command, sizeof command, "sh spec/certificates.sh '%s'", folder);
  if (!tap_ok(system(command) == 0, "certificates can be made")) return tap_done();
  signal(SIGPIPE, SIG_IGN);
  test_round(false, seconds, seed);
  test_round(true, seconds, seed);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command) != 0 || tap_done();
}

/* Writers and consumers of groups who come and go, connections that are cut, and a node that is
 * stopped and killed: `groups_crowd_test [SEED [SECONDS]]`. Every event comes to somebody, to nobody
 * while another one has it, and none again that was acknowledged, but where the node ended or the
 * group was updated: then none that its checkpoint has passed. */
#include "tap.h"

#include <time.h>

#include "node_child.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { GROUPS = 4, SEATS = 8, MOST = 60000, ALLOWED = 20 };

static const pump_bytes no_bytes;

typedef enum fate { OPEN, HELD, DONE, PARKED } fate;

typedef struct group {
  char stream[32];
  char name[16];
  char key[64];
  unsigned char fates[MOST];
  bool ever_done[MOST];
  int64_t written; /* events of its stream */
  int64_t floor;   /* what stands before this must not come again */
  unsigned parked;
} group;

typedef struct held {
  int64_t number;
  uint8_t id[16];
} held;

typedef struct seat {
  node_peer wire;
  bool is_open;
  group *of; /* NULL: it consumes nothing */
  held held[ALLOWED];
  size_t count;
} seat;

static struct {
  const char *file;
  node_child child;
  node_peer writer;
  group groups[GROUPS];
  seat seats[SEATS];
  uint64_t random;
  unsigned counter;
  unsigned long pushed, acked, naked, cuts, ends, updates;
  char why[200];
} at;

static bool must(bool holds, const char *format, const group *of, int64_t number) {
  if (!holds && !at.why[0])
    snprintf(at.why, sizeof at.why, format, of ? of->key : "", (long long)number);
  return holds;
}

static unsigned dice(unsigned sides) {
  at.random = at.random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(at.random >> 33) % sides;
}

static pump_tcp_correlation id_of(uint8_t kind) {
  pump_tcp_correlation id = {{0}};
  unsigned number = ++at.counter;
  memcpy(id.bytes, &number, sizeof number);
  id.bytes[15] = kind;
  return id;
}

/* ---- Asking ------------------------------------------------------------------------------- */

static void ask(node_peer *wire, uint8_t command, const pump_tcp_correlation *id,
                const ProtobufCMessage *body) {
  pump_tcp_pack(&wire->out, command, id, pump_bytes_of("admin"), pump_bytes_of("changeit"), body);
  must(node_peer_flush(wire), "%sthe node ended a connection", NULL, 0);
}

/* The answer to a question over the writer's connection. */
static ProtobufCMessage *call(uint8_t command, const ProtobufCMessage *body) {
  pump_tcp_correlation id = id_of(1);
  pump_tcp_frame frame;
  ask(&at.writer, command, &id, body);
  if (!must(node_peer_receive(&at.writer, &frame), "%sno answer", NULL, 0)) return NULL;
  return pump_tcp_unpack(frame.command, frame.payload);
}

static void change(const group *of, uint8_t command, const char *strategy) {
  PumpTcp__CreatePersistentSubscription body = PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
#define SET(field, value) body.has_##field = true, body.field = value
  SET(subscription_group_name, pump_tcp_binary(pump_bytes_of(of->name)));
  SET(event_stream_id, pump_tcp_binary(pump_bytes_of(of->stream)));
  SET(max_retry_count, 1000);
  SET(buffer_size, 50);
  SET(read_batch_size, 10);
  SET(checkpoint_min_count, 1 + (int)dice(10));
  SET(checkpoint_max_count, 1 + (int)dice(100));
  SET(checkpoint_after_time, (int)dice(400));
  SET(named_consumer_strategy, pump_tcp_binary(pump_bytes_of(strategy)));
#undef SET
  ProtobufCMessage *message = call(command, &body.base);
  const PumpTcp__CreatePersistentSubscriptionCompleted *said = (const void *)message;
  must(said && said->result == 0, "%s: refused", of, 0);
  pump_tcp_unpack_free(message);
}

static void write_some(void) {
  pump_new_event events[20];
  pump_tcp_frame frame;
  unsigned count = 1 + dice(20), stream = dice(2);
  if (at.groups[stream].written + count > MOST) return;
  for (unsigned i = 0; i < count; i++) {
    events[i] = (pump_new_event){.type = pump_bytes_of("t"), .data = pump_bytes_of("1")};
    pump_tcp_correlation id = id_of(2);
    memcpy(events[i].id.bytes, id.bytes, 16);
  }
  for (int i = 0; i < GROUPS; i++)
    if (strcmp(at.groups[i].stream, at.groups[stream].stream) == 0) at.groups[i].written += count;
  pump_tcp_correlation id = id_of(1);
  pump_tcp_encode_write(&at.writer.out, &id, no_bytes, no_bytes,
                        pump_bytes_of(at.groups[stream].stream), PUMP_ANY, false, events, count);
  must(node_peer_flush(&at.writer) && node_peer_receive(&at.writer, &frame) &&
           frame.command == PUMP_TCP_WRITE_EVENTS_COMPLETED,
       "%sa write was not answered", NULL, 0);
}

/* The last event of one of the group's own streams, its data as a number; -1: none. count: how many
 * there are. */
static int64_t look(const group *of, const char *what, unsigned *count) {
  char stream[128];
  int64_t number = -1;
  PumpTcp__ReadStreamEvents body = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  snprintf(stream, sizeof stream, "$persistentsubscription-%s-%s", of->key, what);
  body.has_event_stream_id = body.has_from_event_number = body.has_max_count = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  body.from_event_number = -1;
  body.max_count = 1;
  ProtobufCMessage *message = call(PUMP_TCP_READ_STREAM_BACKWARD, &body.base);
  const PumpTcp__ReadStreamEventsCompleted *said = (const void *)message;
  *count = said && said->n_events > 0 ? (unsigned)said->last_event_number + 1 : 0;
  if (*count > 0) {
    ProtobufCBinaryData data = said->events[0]->event->data;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)data.len, (char *)data.data);
    number = strtoll(text, NULL, 10);
  }
  pump_tcp_unpack_free(message);
  return number;
}

/* ---- Consumers ---------------------------------------------------------------------------- */

static void give_back(seat *one) {
  for (size_t i = 0; one->of && i < one->count; i++)
    one->of->fates[one->held[i].number] = OPEN;
  one->count = 0;
  one->of = NULL;
}

static void take(seat *one, const pump_tcp_frame *frame) {
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  const PumpTcp__PersistentSubscriptionStreamEventAppeared *said = (const void *)message;
  if (!must(message && one->of && one->count < ALLOWED, "%sa push too many", NULL, 0)) return;
  int64_t number = said->event->event->event_number;
  group *of = one->of;
  bool is_good =
      must(number < of->written, "%s: %lld was not written", of, number) &&
      must(number >= of->floor, "%s: %lld though a checkpoint passed it", of, number) &&
      must(of->fates[number] == OPEN, "%s: %lld though somebody has or had it", of, number);
  if (is_good) {
    of->fates[number] = HELD;
    one->held[one->count].number = number;
    memcpy(one->held[one->count++].id, said->event->event->event_id.data, 16);
    at.pushed++;
  }
  pump_tcp_unpack_free(message);
}

/* Everything up to a frame of that kind, or of the other. */
static uint8_t hear(seat *one, uint8_t until, uint8_t or) {
  pump_tcp_frame frame;
  for (;;) {
    if (!must(node_peer_receive(&one->wire, &frame), "%sa consumer waits in vain", NULL, 0))
      return 0;
    if (frame.command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED) take(one, &frame);
    if (frame.command == until || frame.command == or) return frame.command;
    if (at.why[0]) return 0;
  }
}

static void listen_to(seat *one) {
  pump_tcp_correlation id = id_of(3);
  if (!one->is_open) return;
  node_peer_send(&one->wire, PUMP_TCP_PING, &id, NULL, NULL, no_bytes);
  hear(one, PUMP_TCP_PONG, PUMP_TCP_PONG);
}

static void leave(seat *one) {
  if (one->is_open) node_peer_close(&one->wire);
  one->is_open = false;
  give_back(one);
}

static void sit_down(seat *one, group *of) {
  PumpTcp__ConnectToPersistentSubscription body =
      PUMP_TCP__CONNECT_TO_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = id_of(4);
  leave(one);
  if (!must(node_peer_connect(&one->wire, at.child.port), "%sno connection", NULL, 0)) return;
  one->is_open = true;
  one->of = of;
  body.has_subscription_id = body.has_event_stream_id = body.has_allowed_in_flight_messages = true;
  body.subscription_id = pump_tcp_binary(pump_bytes_of(of->name));
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(of->stream));
  body.allowed_in_flight_messages = 1 + (int)dice(ALLOWED);
  ask(&one->wire, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, &id, &body.base);
  hear(one, PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION,
       PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION);
}

/* Some of what it has, or all. */
static void answer(seat *one, bool is_final) {
  static const int actions[] = {PUMP_TCP__NAK_ACTION__NAK_PARK, PUMP_TCP__NAK_ACTION__NAK_RETRY,
                                PUMP_TCP__NAK_ACTION__NAK_SKIP, PUMP_TCP__NAK_ACTION__NAK_STOP};
  PumpTcp__PersistentSubscriptionNakEvents body =
      PUMP_TCP__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__INIT;
  ProtobufCBinaryData ids[ALLOWED];
  uint8_t kept[ALLOWED][16];
  bool is_ack = is_final || dice(4) > 0;
  int action = actions[dice(4)];
  pump_tcp_correlation id = id_of(5);
  while (one->count > 0 && body.n_processed_event_ids < ALLOWED && (is_final || dice(4) > 0)) {
    size_t which = dice((unsigned)one->count), i = body.n_processed_event_ids++;
    int64_t number = one->held[which].number;
    memcpy(kept[i], one->held[which].id, 16);
    ids[i] = (ProtobufCBinaryData){16, kept[i]};
    one->held[which] = one->held[--one->count];
    bool is_again = !is_ack && action == PUMP_TCP__NAK_ACTION__NAK_RETRY;
    bool is_parked = !is_ack && action == PUMP_TCP__NAK_ACTION__NAK_PARK;
    one->of->fates[number] = is_again ? OPEN : is_parked ? PARKED : DONE;
    one->of->ever_done[number] = one->of->ever_done[number] || !is_again;
    one->of->parked += is_parked;
    *(is_ack ? &at.acked : &at.naked) += 1;
  }
  if (body.n_processed_event_ids == 0) return;
  body.has_subscription_id = true;
  body.subscription_id = pump_tcp_binary(pump_bytes_of(one->of->key));
  body.processed_event_ids = ids;
  body.has_action = !is_ack;
  body.action = (PumpTcp__NakAction)(is_ack ? 0 : action);
  ask(&one->wire,
      is_ack ? PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS
             : PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS,
      &id, &body.base);
}

/* ---- Ends --------------------------------------------------------------------------------- */

/* What may come again once a group has forgotten all but that. */
static void set_back(group *of, int64_t floor) {
  must(floor >= of->floor, "%s: its checkpoint went back to %lld", of, floor);
  of->floor = floor;
  for (int64_t i = floor; i < of->written; i++)
    of->fates[i] = OPEN;
}

/* Acknowledgements of others are known to be heard where their connection's pong came. */
static void listen_all(void) {
  for (int i = 0; i < SEATS; i++)
    listen_to(&at.seats[i]);
  usleep(1000);
  for (int i = 0; i < SEATS; i++)
    listen_to(&at.seats[i]);
}

static void update(group *of) {
  static const char *const strategies[] = {"RoundRobin", "DispatchToSingle", "Pinned"};
  unsigned count;
  listen_all();
  change(of, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION, strategies[dice(3)]);
  for (int i = 0; i < SEATS; i++) {
    if (at.seats[i].of != of) continue;
    hear(&at.seats[i], PUMP_TCP_SUBSCRIPTION_DROPPED, PUMP_TCP_SUBSCRIPTION_DROPPED);
    give_back(&at.seats[i]);
  }
  set_back(of, look(of, "checkpoint", &count) + 1);
  at.updates++;
}

static void start(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = at.file;
  options.sync_normal = true;
  options.listen = "127.0.0.1:0";
  at.child = node_child_start(&options);
  must(at.child.port != 0 && node_peer_connect(&at.writer, at.child.port),
       "%sthe node does not start", NULL, 0);
}

static void stop(bool is_kill) {
  int64_t floors[GROUPS];
  unsigned count;
  listen_all();
  for (int i = 0; i < GROUPS; i++) {
    const group *of = &at.groups[i];
    floors[i] = look(of, "checkpoint", &count) + 1;
    while (!is_kill && floors[i] < of->written && of->fates[floors[i]] >= DONE)
      floors[i]++;
  }
  for (int i = 0; i < SEATS; i++)
    leave(&at.seats[i]);
  node_peer_close(&at.writer);
  if (is_kill)
    node_child_kill(&at.child);
  else
    must(node_child_stop(&at.child), "%sthe node did not end in order", NULL, 0);
  for (int i = 0; i < GROUPS; i++)
    set_back(&at.groups[i], floors[i]);
  at.ends++;
}

static void step(void) {
  seat *one = &at.seats[dice(SEATS)];
  unsigned chance = dice(100);
  if (chance < 15) {
    write_some();
  } else if (chance < 20) {
    sit_down(one, &at.groups[dice(GROUPS)]);
  } else if (chance < 22) {
    leave(one); /* with whatever it has, and whatever is on its way to it */
    at.cuts++;
  } else if (chance == 22 && dice(20) == 0) {
    update(&at.groups[dice(GROUPS)]);
  } else if (chance == 23 && dice(40) == 0) {
    stop(dice(2));
    start();
  } else {
    listen_to(one);
    if (one->of) answer(one, false);
  }
}

/* Whoever is left gets all that is left. */
static void finish(void) {
  for (int i = 0; i < SEATS; i++)
    leave(&at.seats[i]);
  for (int i = 0; i < GROUPS && !at.why[0]; i++) {
    group *of = &at.groups[i];
    seat *one = &at.seats[0];
    int64_t left = 0;
    unsigned count;
    for (int64_t k = 0; k < of->written; k++)
      left += of->fates[k] == OPEN;
    sit_down(one, of);
    for (int tries = 0; left > 0 && tries < 100000 && !at.why[0]; tries++) {
      listen_to(one);
      left -= (int64_t)one->count;
      answer(one, true);
      if (tries % 1000 == 0) look(of, "checkpoint", &count); /* or its connection is cut as dead */
    }
    must(left == 0, "%s: %lld events that nobody gets", of, left);
    for (int64_t k = 0; k < of->written; k++)
      must(of->ever_done[k], "%s: %lld was done by nobody", of, k);
    look(of, "parked", &count);
    must(count <= of->parked && (at.ends > 0 || count == of->parked), "%s: %lld are parked", of,
         count);
    leave(one);
  }
}

int main(int argc, char **argv) {
  static const char *const strategies[] = {"RoundRobin", "DispatchToSingle", "Pinned",
                                           "RoundRobin"};
  uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  int seconds = argc > 2 ? atoi(argv[2]) : 4;
  const char *tmp = getenv("TMPDIR");
  char folder[160], file[200], command[200];
  snprintf(folder, sizeof folder, "%s/pump-groups-XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder)) return 1;
  snprintf(file, sizeof file, "%s/store.db", folder);
  at.file = file;
  at.random = seed * 2654435761u + 1;
  at.counter = (unsigned)seed << 24;
  start();
  for (int i = 0; i < GROUPS; i++) {
    group *of = &at.groups[i];
    snprintf(of->stream, sizeof of->stream, "stream %d", i % 2);
    snprintf(of->name, sizeof of->name, "group %d", i);
    snprintf(of->key, sizeof of->key, "stream %d::group %d", i % 2, i);
    change(of, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, strategies[i]);
  }
  time_t end = time(NULL) + seconds;
  while (!at.why[0] && time(NULL) < end)
    step();
  if (!at.why[0]) finish();
  tap_ok(!at.why[0], "seed %llu: every event came, and none too often%s%s",
         (unsigned long long)seed, at.why[0] ? ": " : "", at.why);
  printf("# %lu pushed, %lu acknowledged, %lu not, %lu cuts, %lu ends of the node, %lu updates\n",
         at.pushed, at.acked, at.naked, at.cuts, at.ends, at.updates);
  node_peer_close(&at.writer);
  tap_ok(node_child_stop(&at.child), "the node ends with nothing open");
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) != 0 || tap_done();
}

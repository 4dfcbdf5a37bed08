/* The machine of a consumer group: random consumers, acknowledgements, timeouts, failures and
 * restarts, held against what may never happen; each strategy's order; and out of memory. */
#include "starve.h"

#include <inttypes.h>
#include <string.h>
#include "base/bytes.h"
#include "node/group.h"

#define EVENTS    400
#define CONSUMERS 5

/* ---- The world ---------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned pick(unsigned below) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(seed >> 33) % below;
}

typedef struct consumer {
  pump_group_consumer consumer; /* first */
  bool is_there;
  int64_t held[EVENTS * 2]; /* parked ones as -1 - number */
  size_t count;
} consumer;

typedef enum fate { UNKNOWN, SETTLED, PARKING, PARKED, GONE } fate;

typedef struct world {
  pump_group group;
  pump_group_rules settings;
  bool is_23;
  uint64_t now;
  consumer consumers[CONSUMERS];
  fate fates[EVENTS];
  int64_t parked[EVENTS * 20]; /* which event each parked message leads to */
  fate parked_fates[EVENTS * 20];
  int64_t parked_count; /* with those that are not kept yet */
  int64_t parked_kept;
  int64_t truncated;                      /* written down */
  int64_t checkpoint;                     /* written down; -1: none */
  int64_t first_pushed[PUMP_BUCKETS + 1]; /* the newest that was pushed for the first time */
  uint64_t pushes;
  bool is_calm; /* nothing fails any more */
  const char *wrong;
} world;

static void check(world *at, bool holds, const char *what) {
  if (!holds && !at->wrong) at->wrong = what;
}

static pump_guid id_of(int64_t key) {
  pump_guid id = {{0}};
  memcpy(id.bytes, &key, sizeof key);
  return id;
}

/* Some events carry the id of the one before. */
static int64_t id_number(int64_t key) {
  return key >= 0 && key % 17 == 16 ? key - 1 : key;
}

static uint64_t hash_of(int64_t number) {
  return (uint64_t)number % 13 * 2654435761u;
}

static int64_t key_of(const pump_message *message) {
  return message->is_replayed ? -1 - message->number : message->number;
}

static bool is_held(const world *at, int64_t key) {
  for (int i = 0; i < CONSUMERS; i++) {
    for (size_t k = 0; k < at->consumers[i].count; k++) {
      if (at->consumers[i].held[k] == key) return true;
    }
  }
  return false;
}

static fate *fate_of(world *at, int64_t key) {
  return key >= 0 ? &at->fates[key] : &at->parked_fates[-1 - key];
}

static pump_offer push(void *ud, pump_group_consumer *to, const pump_message *message) {
  world *at = ud;
  consumer *one = (consumer *)(void *)to;
  int64_t key = key_of(message);
  if (!at->is_calm && pick(20) == 0) return PUMP_OFFER_FULL;
  check(at, one->is_there, "pushed to who is not there");
  check(at, !is_held(at, key), "pushed though it is in flight");
  if (key >= 0) {
    check(at, key > at->checkpoint, "pushed though a checkpoint has it done");
    check(at, at->fates[key] != SETTLED && at->fates[key] != PARKED, "pushed though settled");
    if (at->fates[key] == GONE) return PUMP_OFFER_GONE;
    bool is_pinned = pump_strategy_is_pinned(&at->group.strategy);
    int64_t *newest = &at->first_pushed[is_pinned ? message->bucket : PUMP_BUCKETS];
    if (message->retries == 0 && message->state == PUMP_MESSAGE_WAITS) {
      check(at, key > *newest, "pushed out of order");
      *newest = key;
    }
  } else {
    check(at, at->parked_fates[-1 - key] == PARKED, "a parked one pushed though settled");
    check(at, -1 - key >= at->truncated, "a parked one pushed though done with");
  }
  check(at, message->retries <= at->settings.max_retries + 1, "retried too often");
  one->held[one->count++] = key;
  at->pushes++;
  return PUMP_OFFER_TAKEN;
}

static int park(void *ud, const pump_message *message, pump_parking why, pump_bytes words) {
  world *at = ud;
  int64_t key = key_of(message);
  if (!at->is_calm && pick(10) == 0) return PUMP_ESTORE;
  if (at->parked_count == EVENTS * 20) return PUMP_ESTORE;
  check(at, why == PUMP_PARKED_BY_CLIENT ? pump_bytes_is(words, "because") : words.size == 0,
        "parked with the wrong words");
  if (why == PUMP_PARKED_AFTER_RETRIES)
    check(at, message->retries >= at->settings.max_retries, "parked before its last try");
  *fate_of(at, key) = PARKING;
  at->parked[at->parked_count] = key >= 0 ? key : at->parked[-1 - key];
  at->parked_fates[at->parked_count++] = UNKNOWN;
  return 0;
}

static pump_group_outside outside_of(world *at) {
  return (pump_group_outside){push, park, at};
}

/* ---- What happens ------------------------------------------------------------------------- */

static void let_go(consumer *one, int64_t key) {
  for (size_t i = 0; i < one->count; i++) {
    if (one->held[i] == key) {
      one->held[i] = one->held[--one->count];
      return;
    }
  }
}

static void let_all_go(world *at, int64_t key) {
  for (int i = 0; i < CONSUMERS; i++)
    let_go(&at->consumers[i], key);
}

static void read_on(world *at) {
  pump_group *group = &at->group;
  for (size_t room = pump_group_room(group); room > 0 && group->next < EVENTS; room--) {
    pump_guid id = id_of(id_number(group->next));
    pump_group_add(group, group->next, &id, hash_of(group->next));
  }
  for (size_t room = pump_group_replay_room(group); room > 0; room--) {
    int64_t number = group->replay_next;
    pump_guid id = id_of(-1 - number);
    pump_group_add_replayed(group, number, &id, at->parked[number], hash_of(at->parked[number]));
  }
}

/* Commits what was parked, or does not. */
static void settle(world *at) {
  bool is_kept = at->is_calm || pick(8) > 0;
  for (int i = 0; i < CONSUMERS; i++) {
    for (size_t k = at->consumers[i].count; k-- > 0;) {
      int64_t key = at->consumers[i].held[k];
      if (*fate_of(at, key) == PARKING) let_go(&at->consumers[i], key);
    }
  }
  for (int64_t i = 0; i < EVENTS; i++) {
    if (at->fates[i] == PARKING) at->fates[i] = is_kept ? PARKED : UNKNOWN;
  }
  for (int64_t i = 0; i < at->parked_count; i++) {
    if (at->parked_fates[i] == PARKING) at->parked_fates[i] = is_kept ? SETTLED : PARKED;
    if (i >= at->parked_kept && is_kept) at->parked_fates[i] = PARKED;
  }
  if (!is_kept) at->parked_count = at->parked_kept;
  at->parked_kept = at->parked_count;
  pump_group_settle(&at->group, is_kept);
}

static void write_down(world *at, bool is_tick) {
  if (pump_group_checkpoint_is_due(&at->group, at->now, is_tick)) {
    int64_t done = pump_group_done(&at->group);
    for (int64_t i = 0; i <= done; i++)
      check(at, at->fates[i] != UNKNOWN && at->fates[i] != PARKING, "a checkpoint before its time");
    if (at->is_calm || pick(4) > 0) {
      at->checkpoint = done;
      pump_group_set_checkpoint(&at->group, done, at->now);
    }
  }
  int64_t done = pump_group_replay_done(&at->group);
  for (int64_t i = at->truncated; i < done; i++)
    check(at, at->parked_fates[i] == SETTLED, "parked ones done with before their time");
  at->truncated = at->group.truncated = done > at->truncated ? done : at->truncated;
}

/* The other event with that id; itself where there is none. */
static int64_t twin_of(int64_t key) {
  if (id_number(key) != key) return key - 1;
  return key >= 0 && key + 1 < EVENTS && id_number(key + 1) == key ? key + 1 : key;
}

static void answer(world *at, consumer *one) {
  if (one->count == 0) return;
  int64_t key = one->held[pick((unsigned)one->count)], twin = twin_of(key);
  pump_guid id = id_of(id_number(key));
  fate *is = fate_of(at, key);
  if (*is == PARKING) return;
  if (twin != key && is_held(at, twin) && at->fates[twin] != PARKING) {
    at->fates[key] = at->fates[twin] = SETTLED; /* which of them is meant nobody knows */
    let_all_go(at, key);
    let_all_go(at, twin);
    pump_group_ack(&at->group, &id, at->now);
    pump_group_ack(&at->group, &id, at->now);
    return;
  }
  unsigned how = at->is_calm ? 0 : pick(10);
  if (how < 6) {
    *is = SETTLED;
    let_go(one, key);
    pump_group_ack(&at->group, &id, at->now);
    pump_group_ack(&at->group, &id, at->now); /* twice does no harm */
  } else if (how == 6) {
    *is = SETTLED;
    let_go(one, key);
    pump_group_nak(&at->group, &id, PUMP_NAK_SKIP, (pump_bytes){0}, at->now);
  } else {
    pump_nak action = how == 7 ? PUMP_NAK_PARK : PUMP_NAK_RETRY;
    pump_group_nak(&at->group, &id, action, pump_bytes_of("because"), at->now);
    if (*is != PARKING) let_go(one, key);
  }
}

static void expire(world *at) {
  at->now += pick(400);
  for (pump_message *message = at->group.unsettled.first; message; message = message->later)
    if (message->state == PUMP_MESSAGE_FLIES) check(at, is_held(at, key_of(message)), "lost");
  pump_group_expire(&at->group, at->now);
  for (pump_message *message = at->group.unsettled.first; message; message = message->later)
    if (message->state == PUMP_MESSAGE_RETRIES) let_all_go(at, key_of(message));
  for (pump_message *message = at->group.replayed.first; message; message = message->later)
    if (message->state == PUMP_MESSAGE_RETRIES) let_all_go(at, key_of(message));
}

static void come_or_go(world *at, consumer *one) {
  if (!one->is_there) {
    one->is_there = true;
    pump_group_join(&at->group, &one->consumer, at->is_calm ? 20 : pick(8));
    return;
  }
  pump_group_leave(&at->group, &one->consumer);
  one->is_there = false;
  one->count = 0;
}

/* What was not written down is forgotten; consumers have to come again. */
static bool start(world *at, bool is_again) {
  if (is_again) {
    pump_group_free(&at->group);
    at->parked_count = at->parked_kept;
    for (int64_t i = at->checkpoint + 1; i < EVENTS; i++)
      if (at->fates[i] != GONE) at->fates[i] = UNKNOWN;
    for (int64_t i = at->truncated; i < at->parked_count; i++)
      at->parked_fates[i] = PARKED;
  }
  for (int i = 0; i < CONSUMERS; i++)
    at->consumers[i] = (consumer){.is_there = false};
  for (size_t i = 0; i <= PUMP_BUCKETS; i++)
    at->first_pushed[i] = -1;
  pump_group_outside outside = outside_of(at);
  return pump_group_init(&at->group, &at->settings, &outside, at->is_23, at->checkpoint + 1,
                         at->checkpoint, seed) == 0;
}

static void check_bounds(world *at) {
  const pump_group *group = &at->group;
  size_t in_flight = 0, allowed = 0;
  for (int i = 0; i < CONSUMERS; i++) {
    const consumer *one = &at->consumers[i];
    if (!one->is_there) continue;
    in_flight += one->consumer.in_flight;
    allowed += one->consumer.allowed;
    check(at, one->consumer.in_flight <= one->consumer.allowed, "more in flight than allowed");
    check(at, one->consumer.in_flight == one->count, "in flight is not what is held");
  }
  check(at, group->strategy.room == allowed - in_flight, "room is not what is free");
  check(at, group->waiting.count <= (size_t)at->settings.buffer, "more waits than the buffer has");
  check(at,
        group->waiting.count + group->retrying.count + group->flying.count + group->leaving.count ==
            group->unsettled.count + group->replayed.count,
        "not all that is unsettled is somewhere");
}

static void one_thing(world *at) {
  consumer *one = &at->consumers[pick(CONSUMERS)];
  switch (pick(16)) {
  case 0: come_or_go(at, one); break;
  case 1: expire(at); break;
  case 2: settle(at); break;
  case 3: write_down(at, true); break;
  case 4: write_down(at, false); break;
  case 5:
    if (pick(40) == 0) start(at, true);
    break;
  case 6:
    if (pick(10) == 0) pump_group_replay(&at->group, at->truncated, at->parked_kept);
    break;
  default: answer(at, one);
  }
  read_on(at);
  pump_group_push(&at->group, at->now);
  check_bounds(at);
}

/* Everybody acknowledges everything until nothing is left. */
static void run_out(world *at) {
  at->is_calm = true;
  for (int round = 0; round < 20 * EVENTS; round++) {
    consumer *one = &at->consumers[round % CONSUMERS];
    if (!one->is_there || one->consumer.allowed < 20) come_or_go(at, one);
    answer(at, one);
    if (round % 50 == 0) expire(at);
    settle(at);
    read_on(at);
    pump_group_push(&at->group, at->now);
  }
  at->now += 100000;
  write_down(at, true);
}

static bool play(uint64_t number, pump_strategy_kind kind) {
  static world at;
  seed = number * 7919 + 1;
  at = (world){.checkpoint = -1, .now = 1000, .is_23 = pick(2)};
  at.settings = (pump_group_rules){.strategy = kind,
                                   .message_timeout = 300,
                                   .max_retries = (int32_t)pick(4),
                                   .buffer = (int32_t)pick(30),
                                   .read_batch = (int32_t)pick(20),
                                   .checkpoint_after = 100,
                                   .checkpoint_min = (int32_t)pick(5),
                                   .checkpoint_max = 1 + (int32_t)pick(50)};
  if (at.settings.buffer == 0) at.settings.buffer = 1;
  for (int i = 0; i < EVENTS; i++)
    at.fates[i] = pick(50) == 0 ? GONE : UNKNOWN;
  start(&at, false);
  for (int i = 0; i < 6000 && !at.wrong; i++)
    one_thing(&at);
  if (!at.wrong) run_out(&at);
  for (int i = 0; i < EVENTS; i++)
    check(&at, at.fates[i] != UNKNOWN && at.fates[i] != PARKING, "an event that nobody had");
  check(&at, pump_group_done(&at.group) == EVENTS - 1, "not all is done");
  pump_group_free(&at.group);
  if (at.wrong) printf("# strategy %d, seed %" PRIu64 ": %s\n", (int)kind, number, at.wrong);
  return !at.wrong;
}

static void test_model(void) {
  for (int kind = PUMP_ROUND_ROBIN; kind <= PUMP_PINNED; kind++) {
    bool holds = true;
    for (uint64_t number = 0; holds && number < 60; number++)
      holds = play(number, (pump_strategy_kind)kind);
    tap_ok(holds, "%s: whatever happens, every event is somebody's until it is settled",
           pump_strategy_name((pump_strategy_kind)kind));
  }
}

/* ---- Checkpoints -------------------------------------------------------------------------- */

static pump_offer take(void *ud, pump_group_consumer *to, const pump_message *message) {
  int64_t **next = ud;
  (void)to;
  *(*next)++ = message->number;
  return PUMP_OFFER_TAKEN;
}

static int refuse(void *ud, const pump_message *message, pump_parking why, pump_bytes words) {
  (void)ud, (void)message, (void)why, (void)words;
  return PUMP_ESTORE;
}

static void add(pump_group *group, int count) {
  for (int i = 0; i < count; i++) {
    pump_guid id = id_of(group->next);
    pump_group_add(group, group->next, &id, 0);
  }
}

static void ack(pump_group *group, int64_t number) {
  pump_guid id = id_of(number);
  pump_group_ack(group, &id, 0);
}

static void test_checkpoints(void) {
  pump_group group;
  pump_group_consumer one = {0};
  int64_t pushed[100], *next = pushed;
  pump_group_rules settings = {.buffer = 50,
                               .read_batch = 50,
                               .checkpoint_after = 1000,
                               .checkpoint_min = 3,
                               .checkpoint_max = 10};
  pump_group_outside outside = {take, refuse, &next};
  pump_group_init(&group, &settings, &outside, false, 5, -1, 1);
  tap_ok(!pump_group_checkpoint_is_due(&group, 1 << 20, true),
         "where nothing was added there is no checkpoint, wherever the group begins");
  pump_group_join(&group, &one, 40);
  add(&group, 30);
  pump_group_push(&group, 5000);
  pump_group_set_checkpoint(&group, 4, 5000);
  for (int64_t i = 5; i < 7; i++)
    ack(&group, i);
  tap_ok(pump_group_done(&group) == 6, "what is done is what stands before the first in flight");
  tap_ok(!pump_group_checkpoint_is_due(&group, 9000, true), "below the minimum none is due");
  ack(&group, 8);
  tap_ok(pump_group_done(&group) == 6, "a gap is not passed");
  ack(&group, 7);
  tap_ok(pump_group_done(&group) == 8 && pump_group_checkpoint_is_due(&group, 6000, true) &&
             !pump_group_checkpoint_is_due(&group, 5999, true) &&
             !pump_group_checkpoint_is_due(&group, 6000, false),
         "from the minimum on one is due at a tick when its time is over");
  for (int64_t i = 9; i < 15; i++)
    ack(&group, i);
  tap_ok(pump_group_checkpoint_is_due(&group, 5001, false), "at the maximum it is due at once");
  pump_group_leave(&group, &one);
  tap_ok(pump_group_done(&group) == 14 && group.retrying.count == 20,
         "a consumer that leaves settles nothing");
  pump_group_free(&group);
}

/* ---- Strategies --------------------------------------------------------------------------- */

typedef struct trace {
  char text[64]; /* who got each, as a letter */
  size_t size;
  pump_group_consumer *consumers;
} trace;

static pump_offer note(void *ud, pump_group_consumer *to, const pump_message *message) {
  trace *at = ud;
  (void)message;
  at->text[at->size++] = (char)('a' + (to - at->consumers));
  return PUMP_OFFER_TAKEN;
}

static void test_strategy(pump_strategy_kind kind, const char *expected, const char *text) {
  pump_group group;
  pump_group_consumer consumers[3] = {0};
  trace at = {.consumers = consumers};
  pump_group_rules settings = {.buffer = 50, .read_batch = 50, .strategy = kind};
  pump_group_outside outside = {note, refuse, &at};
  pump_group_init(&group, &settings, &outside, false, 0, -1, 1);
  pump_group_join(&group, &consumers[0], 2);
  pump_group_join(&group, &consumers[1], 3);
  pump_group_join(&group, &consumers[2], 0);
  add(&group, 8);
  pump_group_push(&group, 0);
  at.text[at.size++] = ' ';
  ack(&group, 1);
  pump_group_push(&group, 0);
  tap_ok(strcmp(at.text, expected) == 0, "%s: %s (%s)", pump_strategy_name(kind), text, at.text);
  pump_group_free(&group);
}

/* Each bucket has one owner, and owners have about the same number of them. */
static void test_sharing(void) {
  pump_strategy strategy;
  pump_group_consumer consumers[3] = {{.allowed = 2000}, {.allowed = 2000}, {.allowed = 2000}};
  trace at;
  pump_strategy_init(&strategy, PUMP_PINNED);
  pump_strategy_join(&strategy, &consumers[0]);
  for (uint32_t i = 0; i < 900; i++) {
    at = (trace){.consumers = consumers};
    pump_strategy_offer(&strategy, i, (pump_offer(*)(void *, pump_group_consumer *))(void *)note,
                        &at);
  }
  pump_strategy_join(&strategy, &consumers[1]);
  pump_strategy_join(&strategy, &consumers[2]);
  tap_ok(consumers[0].buckets == 300 && consumers[1].buckets + consumers[2].buckets == 600,
         "Pinned: who comes later gets a share (%zu, %zu, %zu)", consumers[0].buckets,
         consumers[1].buckets, consumers[2].buckets);
  strategy.room += consumers[0].in_flight;
  consumers[0].in_flight = 0;
  pump_strategy_leave(&strategy, &consumers[0]);
  size_t owned = 0;
  for (int i = 0; i < PUMP_BUCKETS; i++)
    owned += strategy.buckets[i].owner != NULL;
  tap_ok(owned == 600 && strategy.count == 2, "Pinned: what a consumer had is nobody's then");
  pump_strategy_free(&strategy);
}

/* ---- Out of memory ------------------------------------------------------------------------ */

static int run_group(void *ud) {
  pump_group group;
  pump_group_consumer one = {0};
  int64_t pushed[100], *next = pushed;
  pump_group_rules settings = {
      .buffer = 50, .read_batch = 50, .strategy = PUMP_PINNED, .message_timeout = 10};
  pump_group_outside outside = {take, refuse, &next};
  int code = pump_group_init(&group, &settings, &outside, false, 0, -1, 1);
  (void)ud;
  if (code == 0) pump_group_join(&group, &one, 30);
  for (int i = 0; code == 0 && i < 20; i++) {
    pump_guid id = id_of(i);
    code = pump_group_add(&group, i, &id, 0);
    pump_group_push(&group, 1);
    if (code == 0 && next != pushed + i + 1) code = PUMP_ENOMEM;
  }
  pump_guid id = id_of(-1);
  pump_group_replay(&group, 0, 1);
  if (code == 0) code = pump_group_add_replayed(&group, 0, &id, 0, 0);
  if (code == 0) pump_group_leave(&group, &one);
  pump_group_free(&group);
  return code;
}

static void test_memory(void) {
  long count = starve(run_group, NULL, PUMP_ENOMEM);
  tap_ok(count > 20, "a group without memory refuses and leaks nothing (%ld allocations)", count);
}

/* ---- Timings ------------------------------------------------------------------------------ */

static void test_timings(void) {
  static const uint64_t expected[] = {50, 51, 1, 1, 21, 41, 61, 81, 91, 96, 100, 100, 100, 100};
  pump_timing told[PUMP_TIMING_COUNT];
  pump_timings *timings = pump_timings_new();
  bool is_right = timings && !pump_timings_look(timings, told) && !pump_timings_look(NULL, told);
  for (unsigned i = 0; i < 100; i++)
    pump_timings_add(timings, 1 + i * 37 % 100);
  is_right = is_right && pump_timings_look(timings, told);
  for (int i = 0; i < PUMP_TIMING_COUNT; i++)
    is_right = is_right && told[i].ms == expected[i];
  tap_ok(is_right, "timings are told as mean, places and highest");
  for (unsigned i = 0; i < 1000; i++)
    pump_timings_add(timings, 7);
  is_right = pump_timings_look(timings, told);
  tap_ok(is_right && told[0].ms == 7 && told[PUMP_TIMING_COUNT - 1].ms == 7,
         "of the last thousand");
  pump_timings_free(timings);
}

int main(void) {
  test_model();
  test_checkpoints();
  test_strategy(PUMP_ROUND_ROBIN, "ababb b", "each in turn who has room");
  test_strategy(PUMP_DISPATCH_TO_SINGLE, "aabbb a", "one until it is full");
  test_strategy(PUMP_PINNED, "aa a", "one for all of a stream");
  test_sharing();
  test_memory();
  test_timings();
  return tap_done();
}

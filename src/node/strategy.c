#include "node/strategy.h"

#include <stdlib.h>
#include "base/bytes.h"

static const char *const names[] = {
    [PUMP_ROUND_ROBIN] = "RoundRobin",
    [PUMP_DISPATCH_TO_SINGLE] = "DispatchToSingle",
    [PUMP_PINNED] = "Pinned",
    [PUMP_PINNED_BY_CORRELATION] = "PinnedByCorrelation",
};

const char *pump_strategy_name(pump_strategy_kind kind) {
  return names[kind];
}

bool pump_strategy_parse(pump_bytes name, pump_strategy_kind *kind) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!pump_bytes_is(name, names[i])) continue;
    *kind = (pump_strategy_kind)i;
    return true;
  }
  return false;
}

bool pump_strategy_is_pinned(const pump_strategy *strategy) {
  return strategy->buckets != NULL;
}

int pump_strategy_init(pump_strategy *strategy, pump_strategy_kind kind) {
  *strategy = (pump_strategy){.kind = kind};
  if (kind != PUMP_PINNED && kind != PUMP_PINNED_BY_CORRELATION) return 0;
  strategy->buckets = calloc(PUMP_BUCKETS, sizeof *strategy->buckets);
  return strategy->buckets ? 0 : PUMP_ENOMEM;
}

void pump_strategy_free(pump_strategy *strategy) {
  free(strategy->buckets);
  *strategy = (pump_strategy){0};
}

uint32_t pump_strategy_bucket(uint64_t hash) {
  return (uint32_t)((hash ^ hash >> 32) % PUMP_BUCKETS);
}

/* ---- Who has room ------------------------------------------------------------------------- */

/* At its end: before its first. */
static void enter(pump_group_consumer **ring, pump_group_consumer *consumer) {
  pump_group_consumer *first = *ring;
  consumer->next_in_ring = consumer->previous_in_ring = consumer;
  if (!first) {
    *ring = consumer;
    return;
  }
  consumer->next_in_ring = first;
  consumer->previous_in_ring = first->previous_in_ring;
  consumer->previous_in_ring->next_in_ring = first->previous_in_ring = consumer;
}

static void quit(pump_group_consumer **ring, pump_group_consumer *consumer) {
  pump_group_consumer *next = consumer->next_in_ring;
  consumer->previous_in_ring->next_in_ring = next;
  next->previous_in_ring = consumer->previous_in_ring;
  if (*ring == consumer) *ring = next == consumer ? NULL : next;
}

static bool has_room(const pump_group_consumer *consumer) {
  return consumer->in_flight < consumer->allowed;
}

static void fill(pump_strategy *strategy, pump_group_consumer *consumer) {
  quit(&strategy->current, consumer);
  enter(&strategy->full, consumer);
  consumer->is_full = true;
}

void pump_strategy_begin(pump_strategy *strategy) {
  for (pump_group_consumer *consumer; (consumer = strategy->full);) {
    quit(&strategy->full, consumer);
    enter(&strategy->current, consumer);
    consumer->is_full = false;
  }
}

/* ---- Buckets ------------------------------------------------------------------------------ */

static void assign(pump_strategy *strategy, pump_bucket *bucket, pump_group_consumer *to) {
  if (bucket->owner)
    bucket->owner->buckets--;
  else
    strategy->owned++;
  bucket->owner = to;
  bucket->in_flight = 0;
  to->buckets++;
}

/* Each in turn, but for those who have more than their share. */
static pump_group_consumer *next_heir(pump_strategy *strategy) {
  size_t share = strategy->owned / strategy->count;
  pump_group_consumer *heir = strategy->heir;
  do {
    heir = heir && heir->next ? heir->next : strategy->first;
  } while (heir->buckets > share);
  strategy->heir = heir;
  return heir;
}

/* A newcomer gets its share from those who have more than theirs: first what nothing of is in
 * flight, so that a stream's events seldom stand with two at once. */
static void share_out(pump_strategy *strategy, pump_group_consumer *to) {
  size_t share = (strategy->owned + strategy->count - 1) / strategy->count;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < PUMP_BUCKETS; i++) {
      pump_bucket *bucket = &strategy->buckets[i];
      if (!bucket->owner || bucket->owner == to || bucket->owner->buckets <= share) continue;
      if (bucket->in_flight == 0 || pass == 1) assign(strategy, bucket, to);
    }
  }
}

static void give_up(pump_strategy *strategy, const pump_group_consumer *from) {
  strategy->owned -= from->buckets;
  for (size_t i = 0, left = from->buckets; left > 0; i++) {
    if (strategy->buckets[i].owner != from) continue;
    strategy->buckets[i] = (pump_bucket){0};
    left--;
  }
}

/* ---- Consumers ---------------------------------------------------------------------------- */

void pump_strategy_join(pump_strategy *strategy, pump_group_consumer *consumer) {
  consumer->next = NULL;
  consumer->previous = strategy->last;
  *(strategy->last ? &strategy->last->next : &strategy->first) = consumer;
  strategy->last = consumer;
  consumer->is_full = false;
  if (has_room(consumer)) enter(&strategy->current, consumer);
  strategy->count++;
  strategy->room += consumer->allowed;
  if (strategy->owned > 0) share_out(strategy, consumer);
}

void pump_strategy_leave(pump_strategy *strategy, pump_group_consumer *consumer) {
  give_up(strategy, consumer);
  if (has_room(consumer)) quit(consumer->is_full ? &strategy->full : &strategy->current, consumer);
  if (strategy->heir == consumer) strategy->heir = consumer->previous;
  *(consumer->previous ? &consumer->previous->next : &strategy->first) = consumer->next;
  *(consumer->next ? &consumer->next->previous : &strategy->last) = consumer->previous;
  strategy->count--;
  strategy->room -= consumer->allowed - consumer->in_flight;
}

/* ---- Events ------------------------------------------------------------------------------- */

static pump_offer try_one(pump_strategy *strategy, pump_group_consumer *to,
                          pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  pump_offer answer = offer(ud, to);
  if (answer == PUMP_OFFER_FULL) fill(strategy, to);
  if (answer != PUMP_OFFER_TAKEN) return answer;
  to->in_flight++;
  to->total++;
  strategy->room--;
  if (!has_room(to)) quit(&strategy->current, to);
  return PUMP_OFFER_TAKEN;
}

static pump_offer offer_pinned(pump_strategy *strategy, pump_bucket *bucket,
                               pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  if (!bucket->owner) assign(strategy, bucket, next_heir(strategy));
  if (bucket->owner->is_full || !has_room(bucket->owner)) return PUMP_OFFER_LATER;
  pump_offer answer = try_one(strategy, bucket->owner, offer, ud);
  if (answer == PUMP_OFFER_TAKEN) bucket->in_flight++;
  return answer == PUMP_OFFER_FULL ? PUMP_OFFER_LATER : answer;
}

pump_offer pump_strategy_offer(pump_strategy *strategy, uint32_t bucket,
                               pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  pump_offer answer = PUMP_OFFER_FULL;
  if (strategy->room == 0) return PUMP_OFFER_FULL;
  if (strategy->buckets) return offer_pinned(strategy, &strategy->buckets[bucket], offer, ud);
  while (strategy->current && answer == PUMP_OFFER_FULL) {
    pump_group_consumer *to = strategy->current;
    answer = try_one(strategy, to, offer, ud);
    bool had_its_turn = strategy->kind == PUMP_ROUND_ROBIN && strategy->current == to;
    if (had_its_turn) strategy->current = to->next_in_ring;
  }
  return answer;
}

void pump_strategy_release(pump_strategy *strategy, pump_group_consumer *consumer,
                           uint32_t bucket) {
  bool had_room = has_room(consumer);
  consumer->in_flight--;
  strategy->room++;
  if (!had_room && has_room(consumer)) enter(&strategy->current, consumer);
  if (!strategy->buckets) return;
  pump_bucket *from = &strategy->buckets[bucket];
  if (from->owner == consumer && from->in_flight > 0) from->in_flight--;
}

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

/* ---- Buckets ------------------------------------------------------------------------------ */

static void assign(pump_bucket *bucket, pump_group_consumer *to) {
  if (bucket->owner) bucket->owner->buckets--;
  bucket->owner = to;
  bucket->in_flight = 0;
  to->buckets++;
}

static pump_group_consumer *least_laden(const pump_strategy *strategy) {
  pump_group_consumer *least = strategy->current;
  for (pump_group_consumer *at = least->next; at != strategy->current; at = at->next) {
    if (at->buckets < least->buckets) least = at;
  }
  return least;
}

/* A newcomer gets its share from those who have more than theirs: first what nothing of is in
 * flight, so that a stream's events seldom stand with two at once. */
static void share_out(pump_strategy *strategy, pump_group_consumer *to) {
  size_t assigned = 0;
  for (size_t i = 0; i < PUMP_BUCKETS; i++)
    assigned += strategy->buckets[i].owner != NULL;
  size_t share = (assigned + strategy->count - 1) / strategy->count;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < PUMP_BUCKETS; i++) {
      pump_bucket *bucket = &strategy->buckets[i];
      if (!bucket->owner || bucket->owner == to || bucket->owner->buckets <= share) continue;
      if (bucket->in_flight == 0 || pass == 1) assign(bucket, to);
    }
  }
}

/* ---- Consumers ---------------------------------------------------------------------------- */

void pump_strategy_join(pump_strategy *strategy, pump_group_consumer *consumer) {
  pump_group_consumer *current = strategy->current;
  consumer->next = consumer->previous = consumer;
  if (current) { /* the last in the ring is the one before the current */
    consumer->next = current;
    consumer->previous = current->previous;
    current->previous->next = consumer;
    current->previous = consumer;
  } else {
    strategy->current = consumer;
  }
  strategy->count++;
  strategy->room += consumer->allowed;
  if (strategy->buckets) share_out(strategy, consumer);
}

void pump_strategy_leave(pump_strategy *strategy, pump_group_consumer *consumer) {
  for (size_t i = 0; strategy->buckets && i < PUMP_BUCKETS; i++) {
    if (strategy->buckets[i].owner == consumer) strategy->buckets[i] = (pump_bucket){0};
  }
  consumer->previous->next = consumer->next;
  consumer->next->previous = consumer->previous;
  if (strategy->current == consumer) strategy->current = consumer->next;
  if (--strategy->count == 0) strategy->current = NULL;
  strategy->room -= consumer->allowed - consumer->in_flight;
}

/* ---- Events ------------------------------------------------------------------------------- */

void pump_strategy_begin(pump_strategy *strategy) {
  pump_group_consumer *at = strategy->current;
  for (size_t i = 0; i < strategy->count; i++, at = at->next)
    at->is_full = false;
}

static pump_offer try_one(pump_strategy *strategy, pump_group_consumer *to,
                          pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  if (to->is_full || to->in_flight >= to->allowed) return PUMP_OFFER_FULL;
  pump_offer answer = offer(ud, to);
  to->is_full = answer == PUMP_OFFER_FULL;
  if (answer != PUMP_OFFER_TAKEN) return answer;
  to->in_flight++;
  to->total++;
  strategy->room--;
  return PUMP_OFFER_TAKEN;
}

static pump_offer offer_pinned(pump_strategy *strategy, pump_bucket *bucket,
                               pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  if (!bucket->owner) assign(bucket, least_laden(strategy));
  pump_offer answer = try_one(strategy, bucket->owner, offer, ud);
  if (answer == PUMP_OFFER_TAKEN) bucket->in_flight++;
  return answer == PUMP_OFFER_FULL ? PUMP_OFFER_LATER : answer;
}

pump_offer pump_strategy_offer(pump_strategy *strategy, uint32_t bucket,
                               pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud) {
  pump_offer answer = PUMP_OFFER_FULL;
  if (strategy->room == 0) return PUMP_OFFER_FULL;
  if (strategy->buckets) return offer_pinned(strategy, &strategy->buckets[bucket], offer, ud);
  for (size_t i = 0; i < strategy->count && answer == PUMP_OFFER_FULL; i++) {
    pump_group_consumer *to = strategy->current;
    answer = try_one(strategy, to, offer, ud);
    if (strategy->kind == PUMP_ROUND_ROBIN || answer == PUMP_OFFER_FULL)
      strategy->current = to->next;
  }
  return answer;
}

void pump_strategy_release(pump_strategy *strategy, pump_group_consumer *consumer,
                           uint32_t bucket) {
  consumer->in_flight--;
  strategy->room++;
  if (!strategy->buckets) return;
  pump_bucket *from = &strategy->buckets[bucket];
  if (from->owner == consumer && from->in_flight > 0) from->in_flight--;
}

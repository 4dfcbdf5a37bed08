/* Which consumer of a group gets the next event: each in turn; one until it has all that it takes;
 * or always the same for all events of a stream (or of one correlation id). */
#ifndef PUMP_NODE_STRATEGY_H
#define PUMP_NODE_STRATEGY_H

#include "node/timings.h"

/* Among so many a pinned group divides what it pins to consumers. */
#define PUMP_BUCKETS 1024

typedef enum pump_strategy_kind {
  PUMP_ROUND_ROBIN,
  PUMP_DISPATCH_TO_SINGLE,
  PUMP_PINNED,
  PUMP_PINNED_BY_CORRELATION
} pump_strategy_kind;

typedef struct pump_message_queue {
  struct pump_message *first;
  struct pump_message *last;
  size_t count;
} pump_message_queue;

/* Stands in whatever its owner knows of it. */
typedef struct pump_group_consumer {
  struct pump_group_consumer *next; /* of all, in the order in which they came */
  struct pump_group_consumer *previous;
  struct pump_group_consumer *next_in_ring; /* of those that have room */
  struct pump_group_consumer *previous_in_ring;
  pump_message_queue held; /* what it has in flight, as it got it */
  size_t allowed;          /* how many events it may have in flight */
  size_t in_flight;        /* and how many it has, with those that are being parked */
  size_t buckets;          /* that are its own */
  bool is_full;            /* it took no more */
  uint64_t total;          /* events that it was given */
  uint64_t measured;       /* of these, when somebody last looked */
  pump_timings *timings;   /* of its answers; NULL: nobody wants to know */
} pump_group_consumer;

typedef struct pump_bucket {
  pump_group_consumer *owner; /* NULL: nobody's */
  size_t in_flight;
} pump_bucket;

/* What an event costs does not depend on how many consumers have no room for it: those stand in no
 * ring. */
typedef struct pump_strategy {
  pump_strategy_kind kind;
  pump_group_consumer *first; /* of all */
  pump_group_consumer *last;
  pump_group_consumer *current; /* whose turn it is, in the ring of those that have room */
  pump_group_consumer *full;    /* a ring of those of them that took no more all the same */
  pump_group_consumer *heir;    /* who may get the next bucket */
  size_t count;
  size_t room;  /* events that all of them together still take */
  size_t owned; /* buckets */
  pump_bucket *buckets;
} pump_strategy;

typedef enum pump_offer {
  PUMP_OFFER_TAKEN,
  PUMP_OFFER_GONE,  /* there is no such event any more */
  PUMP_OFFER_LATER, /* whose it is has no room; for other events there may be some */
  PUMP_OFFER_FULL
} pump_offer;

/* PUMP_ENOMEM. */
int pump_strategy_init(pump_strategy *strategy, pump_strategy_kind kind);
void pump_strategy_free(pump_strategy *strategy);
bool pump_strategy_is_pinned(const pump_strategy *strategy);
/* Which bucket what hashes like this belongs to. */
uint32_t pump_strategy_bucket(uint64_t hash);

void pump_strategy_join(pump_strategy *strategy, pump_group_consumer *consumer);
/* What it had in flight is to be released before. */
void pump_strategy_leave(pump_strategy *strategy, pump_group_consumer *consumer);

/* Whoever had no room may have some again. */
void pump_strategy_begin(pump_strategy *strategy);
/* Offers an event to one consumer after the other that may have it. offer says what that one does:
 * PUMP_OFFER_TAKEN, PUMP_OFFER_GONE, or PUMP_OFFER_FULL; who says that is not asked again before
 * pump_strategy_begin, so that what is pinned to it keeps its order. */
pump_offer pump_strategy_offer(pump_strategy *strategy, uint32_t bucket,
                               pump_offer (*offer)(void *ud, pump_group_consumer *to), void *ud);
/* An event that it took is not in flight any more. */
void pump_strategy_release(pump_strategy *strategy, pump_group_consumer *consumer, uint32_t bucket);

/* As EventStore calls it. */
const char *pump_strategy_name(pump_strategy_kind kind);
bool pump_strategy_parse(pump_bytes name, pump_strategy_kind *kind);

#endif

/* The ids of the newest events and where they stand: how a write that is repeated with expected
 * version Any is recognised. Bounded; the oldest are forgotten first. Of events with one id the
 * first counts until it is forgotten, and then none of those that are known, as on servers.
 *
 * Entries are numbered from 1 on, in a ring, and each names the one before it with the same hash. One
 * that was forgotten is told by its number, wherever that still stands: forgetting touches nothing,
 * which counts as all this is larger than the caches. */
#ifndef PUMP_NODE_RECENT_H
#define PUMP_NODE_RECENT_H

#include <pump.h>

typedef struct pump_recent_entry {
  pump_guid id;
  int64_t stream;
  int64_t number;
  uint64_t before; /* with the same hash; 0: none */
} pump_recent_entry;

typedef struct pump_recent {
  pump_recent_entry *entries;
  uint64_t *newest; /* the newest entry of a hash that can be found; 0: none */
  size_t capacity;  /* of both; a power of two */
  size_t limit;     /* what capacity may grow to */
  uint64_t first;   /* the oldest that is remembered */
  uint64_t next;    /* the number of the next to come */
} pump_recent;

/* limit is rounded up to a power of two. */
void pump_recent_init(pump_recent *recent, size_t limit);
void pump_recent_free(pump_recent *recent);
void pump_recent_clear(pump_recent *recent);
/* Without memory to grow it forgets the oldest instead. */
void pump_recent_add(pump_recent *recent, const pump_guid *id, int64_t stream, int64_t number);
/* Adds all of `from`, oldest first, and clears it. */
void pump_recent_move(pump_recent *to, pump_recent *from);
/* The event with that id, or NULL. */
const pump_recent_entry *pump_recent_find(const pump_recent *recent, const pump_guid *id);

#endif

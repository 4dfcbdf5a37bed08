/* The ids of the newest events and where they stand: how a write that is repeated with expected
 * version Any is recognised. Bounded; the oldest are forgotten first. Of events with one id the
 * first counts until it is forgotten, and then none of those that are known, as on servers. */
#ifndef PUMP_NODE_RECENT_H
#define PUMP_NODE_RECENT_H

#include <pump.h>

typedef struct pump_recent_entry {
  pump_guid id;
  int64_t stream;
  int64_t number;
  size_t next; /* index + 1 of the next entry with the same hash; 0: none */
} pump_recent_entry;

typedef struct pump_recent {
  pump_recent_entry *entries; /* a ring */
  size_t *heads;              /* index + 1 of the newest entry of a hash; 0: none */
  size_t capacity;            /* of both; a power of two */
  size_t limit;               /* what capacity may grow to */
  size_t first;               /* the oldest */
  size_t count;
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

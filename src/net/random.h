/* Random bytes from the system, and ids made from them.
 *
 * An id has to be like no other, or a server takes a new event for one that it knows and drops it;
 * it is no secret. The system's own bytes cost ten times what all the rest of an id does, so a
 * generator makes them, which the system seeds anew (with 256 bits) for every PUMP_IDS_A_SEED: two
 * ids are the same no more often than random ones (122 bits) are. What copies a process copies the
 * generator too: after a fork the child sees that it is another process and asks for a seed of its
 * own; a machine that was cloned while it ran may repeat what was left of one seed, and not more.
 * A pool belongs to one thread. */
#ifndef PUMP_NET_RANDOM_H
#define PUMP_NET_RANDOM_H

#include <pump.h>

enum { PUMP_IDS_A_SEED = 512 };

typedef struct pump_random {
  uint64_t state[4]; /* of the generator of ids */
  unsigned left;     /* ids until it is seeded again */
  long owner;        /* process, 0: not seeded yet */
} pump_random;

/* From the system. PUMP_ENOTSUPPORTED where it has none to give. */
int pump_random_take(void *to, size_t size);
/* A version 4 UUID for each of these events that has no id yet. PUMP_ENOTSUPPORTED. */
int pump_random_ids(pump_random *pool, pump_new_event *events, size_t count);

#endif

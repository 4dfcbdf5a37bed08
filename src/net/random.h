/* Random bytes from the system, and ids made from them. A pool belongs to one thread; after a fork
 * the child fetches its own, so that no two processes ever make the same id. */
#ifndef PUMP_NET_RANDOM_H
#define PUMP_NET_RANDOM_H

#include <pump.h>

typedef struct pump_random {
  uint64_t state[4]; /* of the generator of ids */
  long owner;        /* process, 0: not seeded yet */
} pump_random;

/* From the system. PUMP_ENOTSUPPORTED where it has none to give. */
int pump_random_take(void *to, size_t size);
/* A version 4 UUID for each of these events that has no id yet: the generator is seeded by the
 * system once, as an id has to be like no other but is no secret. PUMP_ENOTSUPPORTED. */
int pump_random_ids(pump_random *pool, pump_new_event *events, size_t count);

#endif

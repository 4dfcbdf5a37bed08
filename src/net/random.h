/* Random bytes from the system, fetched many at a time. A pool belongs to one thread; after a
 * fork the child fetches its own, so that no two processes ever make the same id. */
#ifndef PUMP_NET_RANDOM_H
#define PUMP_NET_RANDOM_H

#include <pump.h>

typedef struct pump_random {
  uint8_t bytes[1024];
  size_t left;
  long owner; /* process */
} pump_random;

/* PUMP_ENOTSUPPORTED where the system has none to give. size at most 1024. */
int pump_random_take(pump_random *pool, void *to, size_t size);
/* A version 4 UUID for each of these events that has no id yet. */
int pump_random_ids(pump_random *pool, pump_new_event *events, size_t count);

#endif

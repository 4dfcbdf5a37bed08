/* What specs share that play a machine against a server which exists only there: dice that fall the
 * same for the same seed, and queues of what is on its way. Include it behind `message` and QUEUE,
 * the most that may be on its way. */
#ifndef SPEC_PLAY_H
#define SPEC_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct queue {
  message messages[QUEUE];
  size_t first, last;
} queue;

static inline void put(queue *to, message what) {
  to->messages[to->last++ % QUEUE] = what;
}

static inline bool is_empty(const queue *of) {
  return of->first == of->last;
}

static inline message take(queue *from) {
  return from->messages[from->first++ % QUEUE];
}

static inline uint64_t roll(uint64_t *dice) {
  *dice ^= *dice << 13;
  *dice ^= *dice >> 7;
  *dice ^= *dice << 17;
  return *dice;
}

static inline bool chance(uint64_t *dice, unsigned of_thousand) {
  return roll(dice) % 1000 < of_thousand;
}

#endif

/* How much slower programs are than they usually are, under valgrind: ./test --valgrind sets
 * PUMP_SLOW, and specs multiply their own time limits by it. */
#ifndef SPEC_SLOW_H
#define SPEC_SLOW_H

#include <stdlib.h>

static inline int slowness(void) {
  const char *text = getenv("PUMP_SLOW");
  int factor = text ? atoi(text) : 1;
  return factor > 0 ? factor : 1;
}

#endif

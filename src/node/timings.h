/* How long a consumer takes to answer what it was given: the last thousand times, and what a server
 * tells of them. */
#ifndef PUMP_NODE_TIMINGS_H
#define PUMP_NODE_TIMINGS_H

#include <pump.h>

#define PUMP_TIMING_COUNT 14

typedef struct pump_timings pump_timings;

typedef struct pump_timing {
  const char *key; /* as servers call it */
  uint64_t ms;
} pump_timing;

/* NULL: no memory. */
pump_timings *pump_timings_new(void);
void pump_timings_free(pump_timings *timings); /* NULL is fine */
void pump_timings_add(pump_timings *timings, uint64_t ms);
/* False: there are none yet. */
bool pump_timings_look(const pump_timings *timings, pump_timing told[PUMP_TIMING_COUNT]);

#endif

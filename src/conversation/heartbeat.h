/* Whether the peer is alive: what comes is a sign of life; after a while of silence we ask, and
 * after a longer one it is dead. It watches us, too, and its own question may stand behind a page
 * that takes longer than its patience: so it is asked each interval, whatever comes. */
#ifndef PUMP_CONVERSATION_HEARTBEAT_H
#define PUMP_CONVERSATION_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pump_heartbeat {
  uint64_t interval; /* 0: never ask, never die */
  uint64_t timeout;
  uint64_t due;  /* when to ask because nothing comes, or when to give up */
  uint64_t beat; /* when to ask in any case */
  bool asked;
} pump_heartbeat;

typedef enum pump_pulse { PUMP_PULSE_FINE, PUMP_PULSE_ASK, PUMP_PULSE_DEAD } pump_pulse;

void pump_heartbeat_init(pump_heartbeat *heartbeat, uint64_t interval, uint64_t timeout,
                         uint64_t now);
void pump_heartbeat_heard(pump_heartbeat *heartbeat, uint64_t now);
/* What to do at this time. PUMP_PULSE_ASK: the caller sends a request. */
pump_pulse pump_heartbeat_tick(pump_heartbeat *heartbeat, uint64_t now);
/* When to tick next; UINT64_MAX for never. */
uint64_t pump_heartbeat_due(const pump_heartbeat *heartbeat);

#endif

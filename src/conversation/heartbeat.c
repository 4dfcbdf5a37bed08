#include "conversation/heartbeat.h"

/* A tick that comes this much too late means that we slept, not the peer: its bytes may lie
 * unread in our own socket. Then it is asked again instead of being declared dead. */
#define LATE 500

void pump_heartbeat_init(pump_heartbeat *heartbeat, uint64_t interval, uint64_t timeout,
                         uint64_t now) {
  *heartbeat = (pump_heartbeat){.interval = interval, .timeout = timeout, .beat = now + interval};
  pump_heartbeat_heard(heartbeat, now);
}

void pump_heartbeat_heard(pump_heartbeat *heartbeat, uint64_t now) {
  heartbeat->asked = false;
  heartbeat->due = now + heartbeat->interval;
}

pump_pulse pump_heartbeat_tick(pump_heartbeat *heartbeat, uint64_t now) {
  if (now < pump_heartbeat_due(heartbeat)) return PUMP_PULSE_FINE;
  if (now >= heartbeat->due) {
    bool late = now - heartbeat->due > LATE;
    if (heartbeat->asked && !late) return PUMP_PULSE_DEAD;
    heartbeat->asked = true;
    heartbeat->due = now + heartbeat->timeout;
  }
  heartbeat->beat = now + heartbeat->interval;
  return PUMP_PULSE_ASK;
}

uint64_t pump_heartbeat_due(const pump_heartbeat *heartbeat) {
  if (heartbeat->interval == 0) return UINT64_MAX;
  return heartbeat->beat < heartbeat->due ? heartbeat->beat : heartbeat->due;
}

/* What a server may say instead of yes to who wants to follow a stream or to consume a group's
 * events, and the error that it has to become. */
#ifndef SPEC_REFUSALS_H
#define SPEC_REFUSALS_H

#include <pump.h>

#include "wire/tcp/command.h"

typedef struct refusal {
  const char *what;
  uint8_t command;
  const char *body;
  size_t size;
  int code;
} refusal;

/* Those that are the same for both, and then some of the spec's own. */
static inline void each_refusal(void (*meet)(const refusal *), const refusal *own, size_t count) {
  static const refusal shared[] = {
      {"access denied", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x01", 2, PUMP_EACCESS},
      {"not found", PUMP_TCP_SUBSCRIPTION_DROPPED, "\x08\x02", 2, PUMP_ENOGROUP},
      {"a drop without a body", PUMP_TCP_SUBSCRIPTION_DROPPED, NULL, 0, PUMP_EDROPPED},
      {"a bad request", PUMP_TCP_BAD_REQUEST, "what?", 5, PUMP_EBADREQUEST},
      {"not the leader", PUMP_TCP_NOT_HANDLED,
       "\x08\x02\x12\x0d\x0a\x09"
       "127.0.0.1\x10\x01", /* port 1, where nobody listens */
       17, PUMP_ENOTLEADER},
      {"silence", PUMP_TCP_HEARTBEAT_RESPONSE, NULL, 0, PUMP_ETIMEOUT},
  };
  for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
    meet(&shared[i]);
  for (size_t i = 0; i < count; i++)
    meet(&own[i]);
}

#endif

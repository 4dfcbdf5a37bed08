/* What a client counts: nothing for an event, some additions for a request and for a frame. */
#ifndef PUMP_CLIENT_STATS_H
#define PUMP_CLIENT_STATS_H

#include <pump.h>

/* The session's output is about to be sent. */
void pump_stats_sending(pump_client *client);
/* A request has got its last word. */
void pump_stats_answered(pump_stats *stats, const pump_result *result);

#endif

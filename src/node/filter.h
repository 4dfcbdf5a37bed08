/* A filter of a node like 20.6 and newer: which events of $all are wanted. Regular expressions are
 * those of POSIX, extended, where a server has .NET's. */
#ifndef PUMP_NODE_FILTER_H
#define PUMP_NODE_FILTER_H

#include <pump.h>
#include "wire/tcp/message.h"

typedef struct pump_node_filter pump_node_filter;

/* asked is borrowed as long as the filter lives; NULL, or with no text in it: everything is wanted.
 * PUMP_EINVALID: no such expression; PUMP_ENOMEM. */
int pump_node_filter_new(pump_node_filter **filter, const PumpTcp__Filter *asked);
void pump_node_filter_free(pump_node_filter *filter); /* NULL is fine */
/* Links are judged themselves, not what they lead to. */
bool pump_node_filter_wants(const pump_node_filter *filter, const pump_event *event);

#endif

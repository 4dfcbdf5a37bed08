/* Requests that change the store: appends, deletions and transactions. They are executed all
 * together, committed once, and answered when they are on disk. */
#ifndef PUMP_NODE_WRITE_H
#define PUMP_NODE_WRITE_H

#include "node/peer.h"

/* Writes, without a commit, and keeps the outcome in the request. */
void pump_write_execute(pump_node *node, pump_request *request);
/* Into peer->out: the outcome. */
void pump_write_answer(pump_peer *peer, const pump_request *request);

#endif

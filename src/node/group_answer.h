/* Consumer groups over TCP: the commands become calls of the node's groups, and what a group has
 * for a consumer becomes frames. */
#ifndef PUMP_NODE_GROUP_ANSWER_H
#define PUMP_NODE_GROUP_ANSWER_H

#include "node/peer.h"

/* Creating, updating and deleting are writes; so are acknowledgements, as what they lead to is
 * written with them. The outcome is kept in the request. False: the command is none of these. */
bool pump_group_execute(pump_node *node, pump_request *request);
/* Into peer->out: the outcome. False likewise. */
bool pump_group_answer(pump_peer *peer, const pump_request *request);
/* Into peer->out: the answer to ConnectToPersistentSubscription. */
void pump_group_answer_connect(pump_peer *peer, const pump_request *request);
/* The same for UnsubscribeFromStream; false: it is not about a group. */
bool pump_group_answer_unsubscribe(pump_peer *peer, const pump_request *request);
/* The peer may have room for what it was not pushed. */
void pump_group_answer_catch_up(pump_peer *peer);
/* The peer has gone: what it had in flight comes again. */
void pump_group_answer_forget(pump_peer *peer);

#endif

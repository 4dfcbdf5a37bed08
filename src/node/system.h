/* What a server writes when it starts for the first time: metadata of its own streams, and its
 * users. */
#ifndef PUMP_NODE_SYSTEM_H
#define PUMP_NODE_SYSTEM_H

#include "node/accounts.h"
#include "node/like.h"
#include "pump_node.h"

/* admin and ops with the password that every new server has, and the users that the options give
 * beside or instead of them. To a store that has been used it writes only those of the options
 * whom it lacks or who have another password there. Commits. PUMP_ESTORE, PUMP_ENOMEM,
 * PUMP_EINVALID: a name that is no UTF-8. */
int pump_system_begin(pump_accounts *accounts, const pump_node_options *options, pump_like like,
                      int64_t now);
/* Whether admin, ops, or one of the options' users has the password that everybody knows. */
bool pump_system_is_open(pump_accounts *accounts, const pump_node_options *options);

#endif

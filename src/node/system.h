/* What a server writes when it starts for the first time: metadata of its own streams, and its
 * users. */
#ifndef PUMP_NODE_SYSTEM_H
#define PUMP_NODE_SYSTEM_H

#include "node/accounts.h"
#include "node/like.h"
#include "pump_node.h"

/* Of the streams that tell of scavenges: admins and ops read them, for a month. */
#define PUMP_SCAVENGES_METADATA                                                                    \
  "{\"$maxAge\":2592000,\"$acl\":{\"$r\":\"$ops\",\"$w\":[],\"$d\":[],\"$mr\":[],\"$mw\":[]}}"

/* admin and ops with the password that every new server has, and the users that the options give
 * beside or instead of them. To a store that has been used it writes only those of the options
 * whom it lacks or who have another password there. Commits. PUMP_ESTORE, PUMP_ENOMEM,
 * PUMP_EINVALID: a name that is no UTF-8. */
int pump_system_begin(pump_accounts *accounts, const pump_node_options *options, pump_like like,
                      int64_t now);
/* Whether admin, ops, or one of the options' users has the password that everybody knows. */
bool pump_system_is_open(pump_accounts *accounts, const pump_node_options *options);

/* An event of the node's own, into the stream whose name the two texts make. Not committed. number
 * (may be NULL) is the event's. PUMP_ESTORE, PUMP_ENOMEM. */
int pump_system_write(pump_store *store, const char *before, const char *name, const char *type,
                      pump_bytes data, bool is_json, int64_t now, int64_t *number);

#endif

/* What somebody may do. A stream's $acl names users and groups ($admins, $ops, $all); where it does
 * not, the stream $settings may say it for all streams; else everything is everybody's, but system
 * streams ("$…") and $all are the admins'. */
#ifndef PUMP_NODE_RIGHTS_H
#define PUMP_NODE_RIGHTS_H

#include "node/accounts.h"

/* Whether the stream's $acl, or without one the default, lets them. who NULL: anonymous. right is
 * to read, write or delete; what it means for a metastream is the stream's to say. */
bool pump_rights_allow(pump_store *store, const pump_account *who, pump_bytes stream,
                       pump_store_right right);

#endif

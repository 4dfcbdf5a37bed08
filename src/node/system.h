/* What a server writes when it starts for the first time: metadata of its own streams, and its
 * users. */
#ifndef PUMP_NODE_SYSTEM_H
#define PUMP_NODE_SYSTEM_H

#include <pump.h>
#include "node/rights.h"
#include "node/store.h"

/* To a store that nothing was written to yet, and commits. PUMP_ESTORE. */
int pump_system_begin(pump_store *store, const pump_accounts *accounts, bool is_23, int64_t now);

#endif

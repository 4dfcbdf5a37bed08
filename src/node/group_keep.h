/* How a store keeps groups, in the streams that servers keep them in: which there are, how far each
 * is, and what it parked. All of it are writes like any other: they count once they are committed.
 * Time is microseconds since 1970. Functions return 0, PUMP_ESTORE or PUMP_ENOMEM. */
#ifndef PUMP_NODE_GROUP_KEEP_H
#define PUMP_NODE_GROUP_KEEP_H

#include "node/group_config.h"
#include "node/store.h"

/* revision: which text it is; -1: there is none. */
int pump_group_keep_load(pump_store *store, pump_group_config *config, int64_t *revision,
                         int64_t now);
/* by: whose doing it is; needed: what stands in $all from there on somebody has still to be told of.
 * PUMP_ETOOLARGE: these are too many groups. */
int pump_group_keep_save(pump_store *store, const pump_group_config *config, pump_bytes by,
                         int64_t needed, int64_t now);
/* The number of the last text that was saved, committed or not; -1: none. */
int64_t pump_group_keep_revision(pump_store *store);

/* -1: there is none. */
int pump_group_keep_find_checkpoint(pump_store *store, pump_bytes key, int64_t now,
                                    int64_t *number);
int pump_group_keep_checkpoint(pump_store *store, pump_bytes key, int64_t number, bool is_23,
                               int64_t now);

/* The name of the stream of the parked ones, to be freed; NULL: no memory. */
char *pump_group_keep_parked_stream(pump_bytes key, size_t *size);
/* A link to an event ("3@stream") that was number `number` to the group. */
int pump_group_keep_park(pump_store *store, pump_bytes key, pump_bytes link, int64_t number,
                         pump_bytes reason, int64_t now);
/* The first that is parked, and the number behind the last. */
int pump_group_keep_find_parked(pump_store *store, pump_bytes key, int64_t now, int64_t *first,
                                int64_t *end);
/* What is parked before this number is done with. */
int pump_group_keep_unpark(pump_store *store, pump_bytes key, int64_t before, int64_t now);

/* Its checkpoint and what it parked: the group is deleted. */
int pump_group_keep_forget(pump_store *store, pump_bytes key, int64_t now);

#endif

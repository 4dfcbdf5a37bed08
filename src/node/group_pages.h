/* Consumer groups over HTTP, as servers show them. */
#ifndef PUMP_NODE_GROUP_PAGES_H
#define PUMP_NODE_GROUP_PAGES_H

#include "base/buffer.h"
#include "node/kept_group.h"

/* All groups, or those of a stream; base: "http://127.0.0.1:2113". Each look at a group counts from
 * there on what it does a second. False: there are none. */
bool pump_page_groups(pump_buffer *out, pump_node *node, const pump_bytes *stream,
                      const char *base);
/* One group and its consumers. */
void pump_page_group(pump_buffer *out, pump_kept_group *group, const char *base);
/* What came of replaying what a group parked; group NULL: there is none of that name. */
void pump_page_replay(pump_buffer *out, const pump_node *node, const pump_kept_group *group,
                      pump_bytes key);

#endif

/* What the metadata of a stream say, and the stream $settings for all streams. Read as servers read
 * them: one value of a wrong type, or one name in a list of rights that they don't know, makes
 * nothing of all of it; a number that makes no sense counts for nothing by itself. */
#ifndef PUMP_NODE_METADATA_H
#define PUMP_NODE_METADATA_H

#include <pump.h>

/* -1: not said. */
typedef struct pump_metadata {
  int64_t max_count;
  int64_t max_age; /* seconds */
  int64_t truncate_before;
} pump_metadata;

/* False where they are to be taken for none. */
bool pump_metadata_read(pump_metadata *out, pump_bytes text);
bool pump_metadata_are_settings(pump_bytes text);

#endif

/* Which groups there are, as a node keeps them: one JSON text, in the form that servers give it. */
#ifndef PUMP_NODE_GROUP_CONFIG_H
#define PUMP_NODE_GROUP_CONFIG_H

#include "base/buffer.h"
#include "node/group.h"

typedef struct pump_group_entry {
  char *key; /* "stream::name" */
  size_t key_size;
  size_t stream_size;
  pump_group_rules settings;
  int64_t begin;    /* where it starts as long as it has no checkpoint */
  int64_t revision; /* which of the texts made it what it is */
} pump_group_entry;

typedef struct pump_group_config {
  pump_group_entry *entries;
  size_t count;
} pump_group_config;

/* config is empty before. PUMP_EJSON, PUMP_ENOMEM: and after. */
int pump_group_config_read(pump_group_config *config, pump_bytes json);
void pump_group_config_write(pump_buffer *out, const pump_group_config *config, pump_bytes by,
                             int64_t now);
void pump_group_config_free(pump_group_config *config);

/* PUMP_ENOMEM. What it points to is the config's, until the next is added or removed. */
int pump_group_config_add(pump_group_config *config, pump_bytes stream, pump_bytes name,
                          pump_group_entry **entry);
/* NULL: no such group. */
pump_group_entry *pump_group_config_find(const pump_group_config *config, pump_bytes stream,
                                         pump_bytes name);
void pump_group_config_remove(pump_group_config *config, pump_group_entry *entry);

static inline pump_bytes pump_group_entry_key(const pump_group_entry *entry) {
  return (pump_bytes){entry->key, entry->key_size};
}
static inline pump_bytes pump_group_entry_stream(const pump_group_entry *entry) {
  return (pump_bytes){entry->key, entry->stream_size};
}
static inline pump_bytes pump_group_entry_name(const pump_group_entry *entry) {
  return (pump_bytes){entry->key + entry->stream_size + 2,
                      entry->key_size - entry->stream_size - 2};
}

/* "2026-11-22T03:12:58.793683" and what follows it. */
void pump_group_put_time(pump_buffer *out, int64_t now, const char *zone);

#endif

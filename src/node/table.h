/* A hash table of things that have a link in them. Whoever uses it makes the hashes and compares. */
#ifndef PUMP_NODE_TABLE_H
#define PUMP_NODE_TABLE_H

#include <pump.h>

typedef struct pump_table_link {
  struct pump_table_link *next;
  struct pump_table_link *previous;
  uint64_t hash;
} pump_table_link;

typedef struct pump_table {
  pump_table_link **heads; /* a power of two of them */
  size_t capacity;
  size_t count;
} pump_table;

void pump_table_free(pump_table *table);
/* Its hash is set. PUMP_ENOMEM. */
int pump_table_add(pump_table *table, pump_table_link *link);
/* However many have its hash. */
void pump_table_remove(pump_table *table, pump_table_link *link);
/* What has that hash, one after the other; NULL: no more. */
pump_table_link *pump_table_first(const pump_table *table, uint64_t hash);
pump_table_link *pump_table_next(const pump_table_link *link);

/* FNV. Goes on from an earlier hash, or from a seed that nobody outside knows. */
uint64_t pump_table_hash(uint64_t seed, const void *data, size_t size);

#endif

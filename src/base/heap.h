/* A binary heap of deadlines. A node is embedded in what waits and knows its own place, so that
 * any of thousands can be taken out without a search and no request needs a timer of its own. */
#ifndef PUMP_BASE_HEAP_H
#define PUMP_BASE_HEAP_H

#include <pump.h>

typedef struct pump_heap_node {
  uint64_t key;
  size_t place; /* index + 1; 0: not in a heap */
} pump_heap_node;

typedef struct pump_heap {
  pump_heap_node **nodes;
  size_t count;
  size_t capacity;
} pump_heap;

void pump_heap_init(pump_heap *heap);
void pump_heap_free(pump_heap *heap);
/* PUMP_ENOMEM. The node must not be in a heap already. */
int pump_heap_add(pump_heap *heap, pump_heap_node *node, uint64_t key);
void pump_heap_remove(pump_heap *heap, pump_heap_node *node); /* fine if it is in none */
pump_heap_node *pump_heap_first(const pump_heap *heap);       /* smallest key, or NULL */

#endif

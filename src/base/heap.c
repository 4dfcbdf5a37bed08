#include "base/heap.h"

#include <stdlib.h>

void pump_heap_init(pump_heap *heap) {
  *heap = (pump_heap){0};
}

void pump_heap_free(pump_heap *heap) {
  free(heap->nodes);
  pump_heap_init(heap);
}

static void put(pump_heap *heap, size_t index, pump_heap_node *node) {
  heap->nodes[index] = node;
  node->place = index + 1;
}

static void rise(pump_heap *heap, size_t index, pump_heap_node *node) {
  while (index > 0 && heap->nodes[(index - 1) / 2]->key > node->key) {
    put(heap, index, heap->nodes[(index - 1) / 2]);
    index = (index - 1) / 2;
  }
  put(heap, index, node);
}

static void sink(pump_heap *heap, size_t index, pump_heap_node *node) {
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && heap->nodes[child + 1]->key < heap->nodes[child]->key) child++;
    if (heap->nodes[child]->key >= node->key) break;
    put(heap, index, heap->nodes[child]);
    index = child;
  }
  put(heap, index, node);
}

int pump_heap_add(pump_heap *heap, pump_heap_node *node, uint64_t key) {
  if (heap->count == heap->capacity) {
    size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
    pump_heap_node **nodes = realloc(heap->nodes, capacity * sizeof(pump_heap_node *));
    if (!nodes) return PUMP_ENOMEM;
    heap->nodes = nodes;
    heap->capacity = capacity;
  }
  node->key = key;
  rise(heap, heap->count++, node);
  return 0;
}

void pump_heap_remove(pump_heap *heap, pump_heap_node *node) {
  if (node->place == 0) return;
  size_t index = node->place - 1;
  node->place = 0;
  pump_heap_node *last = heap->nodes[--heap->count];
  if (last == node) return;
  if (index > 0 && heap->nodes[(index - 1) / 2]->key > last->key)
    rise(heap, index, last);
  else
    sink(heap, index, last);
}

pump_heap_node *pump_heap_first(const pump_heap *heap) {
  return heap->count ? heap->nodes[0] : NULL;
}

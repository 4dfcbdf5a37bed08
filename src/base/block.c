#include "base/block.h"

#include <stdlib.h>

pump_block *pump_block_new(size_t capacity) {
  if (capacity > SIZE_MAX - sizeof(pump_block)) return NULL;
  pump_block *block = malloc(sizeof *block + capacity);
  if (!block) return NULL;
  block->references = 1;
  block->capacity = capacity;
  block->spare = NULL;
  block->spare_size = 0;
  return block;
}

pump_block *pump_block_ref(pump_block *block) {
  block->references++;
  return block;
}

void pump_block_unref(pump_block *block) {
  if (!block || --block->references > 0) return;
  free(block->spare);
  free(block);
}

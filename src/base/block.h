/* A block of memory that the socket reads into and pages point into. Counted references: the
 * reader holds one while it fills the block, each page one while somebody wants its events. */
#ifndef PUMP_BASE_BLOCK_H
#define PUMP_BASE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef struct pump_block {
  size_t references;
  size_t capacity;
  void *spare; /* the memory of a page that was in it, for the next one: malloc's, or NULL */
  size_t spare_size;
  uint8_t data[];
} pump_block;

/* One reference, the caller's. NULL when there is no memory. */
pump_block *pump_block_new(size_t capacity);
pump_block *pump_block_ref(pump_block *block);
void pump_block_unref(pump_block *block); /* NULL is fine */

#endif

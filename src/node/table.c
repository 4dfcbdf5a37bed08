#include "node/table.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

void pump_table_free(pump_table *table) {
  free(table->heads);
  *table = (pump_table){0};
}

static pump_table_link **head_of(const pump_table *table, uint64_t hash) {
  return &table->heads[(size_t)(hash ^ hash >> 32) & (table->capacity - 1)];
}

static void put(pump_table *table, pump_table_link *link) {
  pump_table_link **head = head_of(table, link->hash);
  link->next = *head;
  link->previous = NULL;
  if (link->next) link->next->previous = link;
  *head = link;
  table->count++;
}

static int grow(pump_table *table) {
  pump_table larger = {.capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY};
  larger.heads = calloc(larger.capacity, sizeof(pump_table_link *));
  if (!larger.heads) return PUMP_ENOMEM;
  for (size_t i = 0; i < table->capacity; i++) {
    for (pump_table_link *link = table->heads[i], *next; link; link = next) {
      next = link->next;
      put(&larger, link);
    }
  }
  free(table->heads);
  *table = larger;
  return 0;
}

int pump_table_add(pump_table *table, pump_table_link *link) {
  int code = table->count >= table->capacity ? grow(table) : 0;
  if (table->capacity == 0) return code;
  put(table, link); /* without memory to grow its chains do */
  return 0;
}

void pump_table_remove(pump_table *table, pump_table_link *link) {
  *(link->previous ? &link->previous->next : head_of(table, link->hash)) = link->next;
  if (link->next) link->next->previous = link->previous;
  table->count--;
}

static pump_table_link *same_hash(pump_table_link *link, uint64_t hash) {
  while (link && link->hash != hash)
    link = link->next;
  return link;
}

pump_table_link *pump_table_first(const pump_table *table, uint64_t hash) {
  return table->count > 0 ? same_hash(*head_of(table, hash), hash) : NULL;
}

pump_table_link *pump_table_next(const pump_table_link *link) {
  return same_hash(link->next, link->hash);
}

uint64_t pump_table_hash(uint64_t seed, const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint64_t hash = seed ^ 14695981039346656037u;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

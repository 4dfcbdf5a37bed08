#include "node/recent.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024
/* In place of next: an older entry has the same id, and this one is not found. */
#define UNCHAINED SIZE_MAX

void pump_recent_init(pump_recent *recent, size_t limit) {
  *recent = (pump_recent){.limit = FIRST_CAPACITY};
  while (recent->limit < limit)
    recent->limit *= 2;
}

void pump_recent_free(pump_recent *recent) {
  free(recent->entries);
  free(recent->heads);
  recent->entries = NULL;
  recent->heads = NULL;
  recent->capacity = recent->first = recent->count = 0;
}

void pump_recent_clear(pump_recent *recent) {
  if (recent->heads) memset(recent->heads, 0, recent->capacity * sizeof *recent->heads);
  recent->first = recent->count = 0;
}

/* FNV over all sixteen bytes: ids come from outside and need not be random. */
static size_t head_of(const pump_recent *recent, const pump_guid *id) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < sizeof id->bytes; i++)
    hash = (hash ^ id->bytes[i]) * 1099511628211u;
  return (size_t)(hash ^ hash >> 32) & (recent->capacity - 1);
}

static const pump_recent_entry *find(const pump_recent *recent, const pump_guid *id, size_t at) {
  for (; at; at = recent->entries[at - 1].next) {
    if (memcmp(&recent->entries[at - 1].id, id, sizeof *id) == 0) return &recent->entries[at - 1];
  }
  return NULL;
}

static void put(pump_recent *recent, const pump_guid *id, int64_t stream, int64_t number) {
  size_t at = (recent->first + recent->count++) & (recent->capacity - 1);
  size_t *head = &recent->heads[head_of(recent, id)];
  bool is_known = find(recent, id, *head) != NULL;
  recent->entries[at] = (pump_recent_entry){*id, stream, number, is_known ? UNCHAINED : *head};
  if (!is_known) *head = at + 1;
}

static void forget_oldest(pump_recent *recent) {
  size_t oldest = recent->first + 1;
  size_t *at = &recent->heads[head_of(recent, &recent->entries[recent->first].id)];
  if (recent->entries[recent->first].next != UNCHAINED) {
    while (*at != oldest)
      at = &recent->entries[*at - 1].next;
    *at = 0; /* a chain is sorted by age: nothing older follows */
  }
  recent->first = oldest & (recent->capacity - 1);
  recent->count--;
}

static const pump_recent_entry *entry_at(const pump_recent *recent, size_t age) {
  return &recent->entries[(recent->first + age) & (recent->capacity - 1)];
}

static void grow(pump_recent *recent) {
  pump_recent larger = {.limit = recent->limit,
                        .capacity = recent->capacity ? recent->capacity * 2 : FIRST_CAPACITY};
  larger.entries = malloc(larger.capacity * sizeof *larger.entries);
  larger.heads = calloc(larger.capacity, sizeof *larger.heads);
  if (!larger.entries || !larger.heads) {
    pump_recent_free(&larger);
    return;
  }
  for (size_t i = 0; i < recent->count; i++) {
    const pump_recent_entry *entry = entry_at(recent, i);
    put(&larger, &entry->id, entry->stream, entry->number);
  }
  pump_recent_free(recent);
  *recent = larger;
}

void pump_recent_add(pump_recent *recent, const pump_guid *id, int64_t stream, int64_t number) {
  if (recent->count == recent->capacity && recent->capacity < recent->limit) grow(recent);
  if (recent->capacity == 0) return;
  if (recent->count == recent->capacity) forget_oldest(recent);
  put(recent, id, stream, number);
}

void pump_recent_move(pump_recent *to, pump_recent *from) {
  for (size_t i = 0; i < from->count; i++) {
    const pump_recent_entry *entry = entry_at(from, i);
    pump_recent_add(to, &entry->id, entry->stream, entry->number);
  }
  pump_recent_clear(from);
}

const pump_recent_entry *pump_recent_find(const pump_recent *recent, const pump_guid *id) {
  return recent->count > 0 ? find(recent, id, recent->heads[head_of(recent, id)]) : NULL;
}

#include "node/recent.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

void pump_recent_init(pump_recent *recent, size_t limit) {
  *recent = (pump_recent){.limit = FIRST_CAPACITY, .first = 1, .next = 1};
  while (recent->limit < limit)
    recent->limit *= 2;
}

void pump_recent_free(pump_recent *recent) {
  free(recent->entries);
  free(recent->newest);
  *recent = (pump_recent){.limit = recent->limit, .first = 1, .next = 1};
}

void pump_recent_clear(pump_recent *recent) {
  recent->first = recent->next;
}

/* Over all sixteen bytes: ids come from outside and need not be random. */
static uint64_t *newest_of(const pump_recent *recent, const pump_guid *id) {
  uint64_t halves[2];
  memcpy(halves, id->bytes, sizeof halves);
  uint64_t hash = (halves[0] ^ halves[1] >> 29) * 0x9e3779b97f4a7c15 + halves[1];
  hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
  return &recent->newest[(hash ^ hash >> 32) & (recent->capacity - 1)];
}

static pump_recent_entry *entry_of(const pump_recent *recent, uint64_t number) {
  return &recent->entries[number & (recent->capacity - 1)];
}

static const pump_recent_entry *find(const pump_recent *recent, const pump_guid *id,
                                     uint64_t newest) {
  for (uint64_t at = newest; at >= recent->first; at = entry_of(recent, at)->before) {
    const pump_recent_entry *entry = entry_of(recent, at);
    if (memcmp(&entry->id, id, sizeof *id) == 0) return entry;
  }
  return NULL;
}

static void put(pump_recent *recent, const pump_guid *id, int64_t stream, int64_t number) {
  uint64_t *newest = newest_of(recent, id);
  bool is_known = find(recent, id, *newest) != NULL;
  *entry_of(recent, recent->next) = (pump_recent_entry){*id, stream, number, *newest};
  if (!is_known) *newest = recent->next;
  recent->next++;
}

static void put_all(pump_recent *to, const pump_recent *from) {
  for (uint64_t i = from->first; i < from->next; i++) {
    const pump_recent_entry *entry = entry_of(from, i);
    pump_recent_add(to, &entry->id, entry->stream, entry->number);
  }
}

static void grow(pump_recent *recent) {
  size_t capacity = recent->capacity ? recent->capacity * 2 : FIRST_CAPACITY;
  pump_recent larger = {.limit = recent->limit, .capacity = capacity, .first = 1, .next = 1};
  larger.entries = malloc(capacity * sizeof *larger.entries);
  larger.newest = calloc(capacity, sizeof *larger.newest);
  if (!larger.entries || !larger.newest) {
    pump_recent_free(&larger);
    return;
  }
  put_all(&larger, recent);
  pump_recent_free(recent);
  *recent = larger;
}

void pump_recent_add(pump_recent *recent, const pump_guid *id, int64_t stream, int64_t number) {
  bool is_full = recent->next - recent->first == recent->capacity;
  if (is_full && recent->capacity < recent->limit) {
    grow(recent);
    is_full = recent->next - recent->first == recent->capacity;
  }
  if (recent->capacity == 0) return;
  if (is_full) recent->first++;
  put(recent, id, stream, number);
}

void pump_recent_move(pump_recent *to, pump_recent *from) {
  put_all(to, from);
  pump_recent_clear(from);
}

const pump_recent_entry *pump_recent_find(const pump_recent *recent, const pump_guid *id) {
  return recent->capacity > 0 ? find(recent, id, *newest_of(recent, id)) : NULL;
}

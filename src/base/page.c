#include "base/page.h"

#include <stdlib.h>
#include <string.h>

typedef struct page_memory {
  pump_page page; /* first: a pump_page * is a page_memory * */
  pump_block *block;
  pump_record *records;
  size_t size; /* of all this */
  size_t references;
  pump_event events[];
} page_memory;

/* Blocks are read into again and again, so their pages' memory is used again with them: giving back
 * such large pieces would have malloc sort all the small ones that were given back meanwhile. */
static page_memory *take_memory(pump_block *block, size_t *size) {
  if (!block || !block->spare || block->spare_size < *size) return malloc(*size);
  page_memory *memory = block->spare;
  *size = block->spare_size;
  block->spare = NULL;
  return memory;
}

static void give_memory(pump_block *block, page_memory *memory) {
  if (!block || block->references == 1 || (block->spare && block->spare_size >= memory->size)) {
    free(memory);
    return;
  }
  free(block->spare);
  block->spare_size = memory->size;
  block->spare = memory;
}

pump_page *pump_page_new(pump_block *block, size_t events, size_t records) {
  if (events > SIZE_MAX / 4 / sizeof(pump_event) || records > SIZE_MAX / 4 / sizeof(pump_record))
    return NULL;
  size_t event_bytes = events * sizeof(pump_event);
  size_t size = sizeof(page_memory) + event_bytes + records * sizeof(pump_record);
  page_memory *memory = take_memory(block, &size);
  if (!memory) return NULL;
  *memory = (page_memory){
      .page = {.events = memory->events,
               .count = events,
               .next_event_number = -1,
               .last_event_number = -1,
               .position = {-1, -1},
               .next_position = {-1, -1}},
      .block = block ? pump_block_ref(block) : NULL,
      .records = (pump_record *)(void *)((char *)memory->events + event_bytes),
      .size = size,
      .references = 1,
  };
  return &memory->page;
}

static size_t bytes_of(const pump_record *record) {
  return record
             ? record->stream.size + record->type.size + record->data.size + record->metadata.size
             : 0;
}

static const pump_record *copy_record(pump_record *to, const pump_record *from, char **at) {
  if (!from) return NULL;
  *to = *from;
  pump_bytes *parts[] = {&to->stream, &to->type, &to->data, &to->metadata};
  for (size_t i = 0; i < 4; i++) {
    if (parts[i]->size > 0) memcpy(*at, parts[i]->data, parts[i]->size);
    parts[i]->data = *at;
    *at += parts[i]->size;
  }
  return to;
}

pump_page *pump_page_of_one(const pump_event *event) {
  pump_block *block = pump_block_new(bytes_of(event->record) + bytes_of(event->link));
  pump_page *page = block ? pump_page_new(block, 1, 2) : NULL;
  pump_block_unref(block);
  if (!page) return NULL;
  pump_event *copy = pump_page_events(page);
  pump_record *records = pump_page_records(page);
  char *at = (char *)block->data;
  *copy = *event;
  copy->record = copy_record(&records[0], event->record, &at);
  copy->link = copy_record(&records[1], event->link, &at);
  return page;
}

pump_event *pump_page_events(pump_page *page) {
  return ((page_memory *)(void *)page)->events;
}

pump_record *pump_page_records(pump_page *page) {
  return ((page_memory *)(void *)page)->records;
}

pump_page *pump_page_ref(pump_page *page) {
  ((page_memory *)(void *)page)->references++;
  return page;
}

void pump_page_unref(pump_page *page) {
  if (!page) return;
  page_memory *memory = (page_memory *)(void *)page;
  if (--memory->references > 0) return;
  pump_block *block = memory->block;
  give_memory(block, memory);
  pump_block_unref(block);
}

pump_guid pump_event_id(const pump_event *event) {
  return event->link ? event->link->id : event->record->id;
}

size_t pump_page_size(const pump_page *page) {
  const page_memory *memory = (const page_memory *)(const void *)page;
  return sizeof *memory + memory->page.count * (sizeof(pump_event) + sizeof(pump_record)) +
         (memory->block ? memory->block->capacity : 0);
}

#include "node/kept_group.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/json.h"
#include "node/group_keep.h"
#include "node/node_private.h"

/* Pages that are read for one group before others have their turn. */
#define ROUNDS 32

/* What is kept of why a client parks an event. */
#define MAX_WORDS 4096

#define NOTHING INT64_MIN

static const pump_record *original_of(const pump_event *event) {
  return event->link ? event->link : event->record;
}

/* ---- What an event is pinned by ----------------------------------------------------------- */

/* The stream it comes from; of a link the one that it leads to. */
static pump_bytes source_of(const pump_event *event) {
  const pump_record *record = event->record ? event->record : event->link;
  if (!pump_bytes_is(record->type, "$>")) return record->stream;
  const char *at = record->data.size ? memchr(record->data.data, '@', record->data.size) : NULL;
  if (!at) return record->data;
  return (pump_bytes){at + 1, record->data.size - (size_t)(at + 1 - record->data.data)};
}

/* As it stands in the metadata; size 0: it is not there. */
static pump_bytes correlation_of(const pump_event *event) {
  pump_json_reader reader;
  int token;
  if (!event->record) return (pump_bytes){0};
  pump_json_reader_init(&reader, event->record->metadata);
  if (pump_json_next(&reader) != PUMP_JSON_OBJECT) return (pump_bytes){0};
  while ((token = pump_json_next(&reader)) == PUMP_JSON_KEY) {
    bool is_it = pump_bytes_is(reader.string, "$correlationId");
    token = pump_json_next(&reader);
    if (is_it && token == PUMP_JSON_STRING) return reader.string;
    if (pump_json_skip(&reader, token) != 0) break;
  }
  return (pump_bytes){0};
}

static uint64_t hash_of(const pump_kept_group *kept, const pump_event *event) {
  const pump_group *group = &kept->group;
  if (!pump_strategy_is_pinned(&group->strategy)) return 0;
  pump_bytes by = {0};
  if (group->settings.strategy == PUMP_PINNED_BY_CORRELATION) by = correlation_of(event);
  if (by.size == 0) by = source_of(event);
  return pump_table_hash(group->seed, by.data, by.size);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static bool take(void *ud, const pump_event *event) {
  pump_kept_group *kept = ud;
  const pump_record *original = original_of(event);
  return pump_group_add(&kept->group, original->number, &original->id, hash_of(kept, event)) == 0;
}

static int page_size(size_t room) {
  return room < PUMP_MAX_PAGE ? (int)room : PUMP_MAX_PAGE;
}

/* A page of the stream. False: there was none. */
static bool read_on(pump_kept_group *kept) {
  pump_group *group = &kept->group;
  size_t room = pump_group_room(group);
  if (!kept->has_news || room == 0) return false;
  pump_read read = {.from = group->next,
                    .max_count = page_size(room),
                    .resolve_links = group->settings.resolve_links};
  pump_store_page page;
  if (pump_store_read_stream(kept->node->store, pump_group_entry_stream(&kept->entry), &read,
                             pump_node_time(), take, kept, &page) != 0)
    return false; /* again at the next tick */
  if (page.result == PUMP_STORE_SUCCESS && page.next > group->next) group->next = page.next;
  kept->has_news = page.result == PUMP_STORE_SUCCESS && !page.is_end;
  return true;
}

static bool take_parked(void *ud, const pump_event *event) {
  pump_kept_group *kept = ud;
  const pump_record *original = original_of(event);
  if (original->number >= kept->group.replay_end) return false;
  int64_t rank = event->record ? event->record->number : original->number;
  return pump_group_add_replayed(&kept->group, original->number, &original->id, rank,
                                 hash_of(kept, event)) == 0;
}

static bool replay_on(pump_kept_group *kept) {
  pump_group *group = &kept->group;
  size_t room = pump_group_replay_room(group);
  if (room == 0) return false;
  pump_read read = {
      .from = group->replay_next, .max_count = page_size(room), .resolve_links = true};
  pump_store_page page;
  if (pump_store_read_stream(kept->node->store, (pump_bytes){kept->parked, kept->parked_size},
                             &read, pump_node_time(), take_parked, kept, &page) != 0)
    return false;
  bool is_over = page.result != PUMP_STORE_SUCCESS || page.next >= group->replay_end;
  int64_t next = is_over ? group->replay_end : page.next;
  if (next > group->replay_next) group->replay_next = next;
  return true;
}

/* The last event of a deleted stream, which consumers get like any other, can be read in $all
 * alone. */
void pump_kept_group_notice(pump_kept_group *kept, const pump_record *record, int64_t position) {
  bool is_tombstone = record->number == PUMP_STORE_TOMBSTONE;
  kept->has_news = !is_tombstone;
  if (!is_tombstone || kept->tombstone >= 0) return;
  if (pump_group_add(&kept->group, record->number, &record->id, 0) == 0) kept->tombstone = position;
}

static int read_tombstone(pump_kept_group *kept, pump_store_sink sink, void *ud) {
  pump_read read = {.position = {kept->tombstone, kept->tombstone}, .max_count = 1};
  pump_store_page page;
  return pump_store_read_all(kept->node->store, &read, pump_node_time(), sink, ud, &page);
}

static int read_message(pump_kept_group *kept, const pump_message *message, pump_store_sink sink,
                        void *ud) {
  if (message->number == PUMP_STORE_TOMBSTONE) return read_tombstone(kept, sink, ud);
  pump_store_result result;
  pump_bytes stream = message->is_replayed ? (pump_bytes){kept->parked, kept->parked_size}
                                           : pump_group_entry_stream(&kept->entry);
  return pump_store_read_event(kept->node->store, stream, message->number,
                               message->is_replayed || kept->group.settings.resolve_links,
                               pump_node_time(), sink, ud, &result);
}

/* ---- Pushing ------------------------------------------------------------------------------ */

typedef struct pushing {
  pump_group_member *to;
  const pump_message *message;
  pump_offer answer;
} pushing;

static bool give(void *ud, const pump_event *event) {
  pushing *at = ud;
  pump_event seen = *event;
  if (seen.link && seen.record &&
      !pump_node_allows(at->to->group->node, at->to->who, seen.record->stream, PUMP_STORE_READ))
    seen.record = NULL;
  at->answer =
      at->to->calls->push(at->to, &seen, at->message->retries) ? PUMP_OFFER_TAKEN : PUMP_OFFER_FULL;
  return true;
}

static pump_offer push(void *ud, pump_group_consumer *to, const pump_message *message) {
  pump_kept_group *kept = ud;
  pushing at = {(pump_group_member *)(void *)to, message, PUMP_OFFER_GONE};
  if (!at.to->calls->has_room(at.to)) return PUMP_OFFER_FULL;
  if (read_message(kept, message, give, &at) != 0) return PUMP_OFFER_FULL;
  kept->total += at.answer == PUMP_OFFER_TAKEN;
  return at.answer;
}

bool pump_kept_group_run(pump_kept_group *kept, uint64_t now) {
  if (kept->group.strategy.count == 0) return false;
  for (int round = 0; round < ROUNDS; round++) {
    bool is_replaying = replay_on(kept);
    bool is_reading = read_on(kept);
    pump_group_push(&kept->group, now);
    if (!is_replaying && !is_reading) return false;
  }
  return true;
}

/* ---- Parking ------------------------------------------------------------------------------ */

/* What leads to the event: its own place, or of a link that leads nowhere the link's data. */
static bool put_link(void *ud, const pump_event *event) {
  pump_buffer *link = ud;
  if (event->record) {
    pump_buffer_printf(link, "%lld@", (long long)event->record->number);
    pump_buffer_append(link, event->record->stream.data, event->record->stream.size);
  } else {
    pump_buffer_append(link, event->link->data.data, event->link->data.size);
  }
  return true;
}

/* As much of the client's words as is kept: whole characters. */
static pump_bytes cut(pump_bytes words) {
  if (words.size <= MAX_WORDS) return words;
  words.size = MAX_WORDS;
  while (words.size > 0 && ((unsigned char)words.data[words.size] & 0xc0) == 0x80)
    words.size--;
  return words;
}

/* An event that is gone needs no parking. */
static int park(void *ud, const pump_message *message, pump_parking why, pump_bytes words) {
  pump_kept_group *kept = ud;
  if (kept->is_doomed) return PUMP_ENOGROUP;
  pump_buffer link, reason;
  pump_buffer_init(&link);
  pump_buffer_init(&reason);
  if (why == PUMP_PARKED_BY_CLIENT) {
    pump_buffer_text(&reason, "Client explicitly NAK'ed message.\n");
    words = cut(words);
    pump_buffer_append(&reason, words.data, words.size);
  } else {
    pump_buffer_printf(&reason, "Reached retry count of %d", kept->group.settings.max_retries);
  }
  int code = read_message(kept, message, put_link, &link);
  if (link.failed || reason.failed) code = PUMP_ENOMEM;
  if (code == 0 && link.size > 0)
    code = pump_group_keep_park(kept->node->store, pump_group_entry_key(&kept->entry),
                                (pump_bytes){(const char *)link.data, link.size}, message->number,
                                (pump_bytes){(const char *)reason.data, reason.size},
                                pump_node_time());
  pump_buffer_free(&link);
  pump_buffer_free(&reason);
  return code;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void write_checkpoint(pump_kept_group *kept) {
  int64_t done = pump_group_done(&kept->group);
  if (kept->written_checkpoint != NOTHING) return;
  if (pump_group_keep_checkpoint(kept->node->store, pump_group_entry_key(&kept->entry), done,
                                 kept->node->is_23, pump_node_time()) == 0)
    kept->written_checkpoint = done;
}

/* Parked ones that were replayed stay parked until they are settled: a node that ends before that
 * must not have lost them. */
static bool has_unparked(const pump_kept_group *kept) {
  return pump_group_replay_done(&kept->group) > kept->group.truncated;
}

static void write_unparked(pump_kept_group *kept) {
  int64_t done = pump_group_replay_done(&kept->group);
  if (kept->written_unparked != NOTHING) return;
  if (pump_group_keep_unpark(kept->node->store, pump_group_entry_key(&kept->entry), done,
                             pump_node_time()) == 0)
    kept->written_unparked = done;
}

void pump_kept_group_write(pump_kept_group *kept, uint64_t now, bool is_tick) {
  const pump_group *group = &kept->group;
  if (kept->is_doomed) return;
  if (pump_group_checkpoint_is_due(group, now, is_tick)) write_checkpoint(kept);
  bool is_over = !group->replayed.first && group->replay_next == group->replay_end;
  if (has_unparked(kept) && (is_tick || is_over)) write_unparked(kept);
}

void pump_kept_group_committed(pump_kept_group *kept, uint64_t now, bool is_kept) {
  if (is_kept && kept->written_checkpoint != NOTHING)
    pump_group_set_checkpoint(&kept->group, kept->written_checkpoint, now);
  if (is_kept && kept->written_unparked != NOTHING) kept->group.truncated = kept->written_unparked;
  kept->written_checkpoint = kept->written_unparked = NOTHING;
  pump_group_settle(&kept->group, is_kept);
}

bool pump_kept_group_is_unwritten(const pump_kept_group *kept) {
  return kept->group.leaving.first || has_unparked(kept) ||
         pump_group_checkpoint_is_due(&kept->group, UINT64_MAX, true);
}

void pump_kept_group_end(pump_kept_group *kept) {
  const pump_group *group = &kept->group;
  if (group->has_begun && pump_group_done(group) > group->checkpoint) write_checkpoint(kept);
  if (has_unparked(kept)) write_unparked(kept);
}

/* ---- Beginning and end -------------------------------------------------------------------- */

static int copy_entry(pump_kept_group *kept, const pump_group_entry *entry) {
  kept->entry = *entry;
  kept->entry.key = malloc(entry->key_size);
  if (!kept->entry.key) return PUMP_ENOMEM;
  memcpy(kept->entry.key, entry->key, entry->key_size);
  return 0;
}

int pump_kept_group_new(pump_kept_group **out, pump_node *node, const pump_group_entry *entry,
                        uint64_t seed) {
  pump_kept_group *kept = calloc(1, sizeof *kept);
  *out = NULL;
  if (!kept) return PUMP_ENOMEM;
  pump_group_outside outside = {push, park, kept};
  int64_t checkpoint = -1;
  kept->node = node;
  kept->has_news = true;
  kept->tombstone = -1;
  kept->written_checkpoint = kept->written_unparked = NOTHING;
  kept->measured_at = uv_now(node->loop);
  int code = copy_entry(kept, entry);
  if (code == 0)
    code = pump_group_keep_find_checkpoint(node->store, pump_group_entry_key(entry),
                                           pump_node_time(), &checkpoint);
  if (code == 0) {
    kept->parked = pump_group_keep_parked_stream(pump_group_entry_key(entry), &kept->parked_size);
    if (!kept->parked) code = PUMP_ENOMEM;
  }
  int64_t next = checkpoint >= 0 && checkpoint < INT64_MAX ? checkpoint + 1 : entry->begin;
  if (code == 0)
    code = pump_group_init(&kept->group, &entry->settings, &outside, node->is_23, next, checkpoint,
                           seed);
  if (code != 0)
    pump_kept_group_free(kept);
  else
    *out = kept;
  return code;
}

void pump_kept_group_free(pump_kept_group *kept) {
  while (kept->group.strategy.first) {
    pump_group_member *member = (pump_group_member *)(void *)kept->group.strategy.first;
    pump_strategy_leave(&kept->group.strategy, &member->consumer);
    pump_timings_free(member->consumer.timings);
    kept->node->groups.consumers--;
    member->group = NULL;
    member->calls->drop(member);
  }
  pump_group_free(&kept->group);
  free(kept->entry.key);
  free(kept->parked);
  free(kept);
}

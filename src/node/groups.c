#include "node/groups.h"

#include <stdlib.h>
#include "base/bytes.h"
#include "base/json.h"
#include "node/group_keep.h"
#include "node/node_private.h"

/* Of a stream or a group; a few thousand groups fit into one text. */
#define MAX_NAME 4096

static uint64_t hash_of(const pump_groups *groups, pump_bytes name) {
  return pump_table_hash(groups->seed, name.data, name.size);
}

pump_kept_group *pump_groups_find(const pump_node *node, pump_bytes key) {
  const pump_groups *groups = &node->groups;
  pump_table_link *link = pump_table_first(&groups->by_key, hash_of(groups, key));
  for (; link; link = pump_table_next(link)) {
    pump_kept_group *found = (pump_kept_group *)(void *)link;
    if (pump_bytes_equal(key, pump_group_entry_key(&found->entry))) return found;
  }
  return NULL;
}

void pump_groups_wake(pump_kept_group *kept) {
  pump_groups *groups = &kept->node->groups;
  if (!kept->is_due) {
    kept->is_due = true;
    kept->next_due = groups->due;
    groups->due = kept;
  }
  pump_node_wake(kept->node);
}

/* ---- Following what is kept --------------------------------------------------------------- */

static void remove_group(pump_kept_group *kept) {
  pump_groups *groups = &kept->node->groups;
  pump_table_remove(&groups->by_key, &kept->by_key);
  pump_table_remove(&groups->by_stream, &kept->by_stream);
  *(kept->previous ? &kept->previous->next : &groups->first) = kept->next;
  *(kept->next ? &kept->next->previous : &groups->last) = kept->previous;
  pump_kept_group **due = &groups->due;
  while (*due && *due != kept)
    due = &(*due)->next_due;
  if (*due) *due = kept->next_due;
  pump_kept_group_free(kept);
}

static int add_group(pump_node *node, const pump_group_entry *entry) {
  pump_groups *groups = &node->groups;
  pump_kept_group *kept;
  int code = pump_kept_group_new(&kept, node, entry, groups->seed);
  if (code != 0) return code;
  kept->by_key.hash = hash_of(groups, pump_group_entry_key(entry));
  kept->by_stream.hash = hash_of(groups, pump_group_entry_stream(entry));
  code = pump_table_add(&groups->by_key, &kept->by_key);
  if (code == 0 && (code = pump_table_add(&groups->by_stream, &kept->by_stream)) != 0)
    pump_table_remove(&groups->by_key, &kept->by_key);
  if (code != 0) {
    pump_kept_group_free(kept);
    return code;
  }
  kept->previous = groups->last;
  *(groups->last ? &groups->last->next : &groups->first) = kept;
  groups->last = kept;
  return 0;
}

static void remove_others(pump_node *node, const pump_group_config *config) {
  for (size_t i = 0; i < config->count; i++) {
    const pump_group_entry *entry = &config->entries[i];
    pump_kept_group *kept = pump_groups_find(node, pump_group_entry_key(entry));
    if (kept) kept->is_there = entry->revision == kept->entry.revision;
  }
  for (pump_kept_group *kept = node->groups.first, *next; kept; kept = next) {
    next = kept->next;
    if (!kept->is_there) remove_group(kept);
  }
}

/* What fails for want of memory is tried again at the next tick. */
static int follow(pump_node *node) {
  pump_groups *groups = &node->groups;
  pump_group_config config;
  int64_t revision;
  groups->is_changed = false;
  for (pump_kept_group *kept = groups->first; kept; kept = kept->next)
    kept->is_doomed = kept->is_there = false;
  if (pump_group_keep_revision(node->store) == groups->revision) return 0;
  int code = pump_group_keep_load(node->store, &config, &revision, pump_node_time());
  if (code == 0) {
    remove_others(node, &config);
    for (size_t i = 0; code == 0 && i < config.count; i++) {
      if (!pump_groups_find(node, pump_group_entry_key(&config.entries[i])))
        code = add_group(node, &config.entries[i]);
    }
    pump_group_config_free(&config);
  }
  if (code == 0) groups->revision = revision;
  groups->is_changed = code != 0;
  return code;
}

/* ---- Changing what is kept ---------------------------------------------------------------- */

/* Up to 4.1 that is up to who may write to $settings. */
bool pump_groups_may_change(pump_node *node, const pump_account *who) {
  if (node->like > PUMP_LIKE_4) return pump_account_may_operate(who);
  return pump_node_allows(node, who, pump_bytes_of("$settings"), PUMP_STORE_WRITE);
}

static int64_t begin_at(pump_node *node, pump_bytes stream, int64_t start_from) {
  if (start_from >= 0) return start_from;
  int64_t last = pump_store_last_number(node->store, stream);
  return last < INT64_MAX ? last + 1 : last;
}

static bool is_text(pump_bytes name) {
  pump_buffer scratch;
  pump_buffer_init(&scratch);
  bool is_good =
      name.size > 0 && name.size <= MAX_NAME && pump_json_write_string(&scratch, name) == 0;
  pump_buffer_free(&scratch);
  return is_good;
}

static int save(pump_node *node, pump_group_config *config, pump_bytes by) {
  node->groups.is_changed = true;
  return pump_group_keep_save(node->store, config, by, pump_feed_needs(node), pump_node_time());
}

int pump_groups_create(pump_node *node, pump_bytes stream, pump_bytes name,
                       const pump_group_rules *settings, pump_bytes by) {
  pump_group_config config;
  pump_group_entry *entry;
  int64_t revision;
  if (!is_text(stream) || !is_text(name)) return PUMP_EINVALID;
  int code = pump_group_keep_load(node->store, &config, &revision, pump_node_time());
  if (code == 0 && pump_group_config_find(&config, stream, name)) code = PUMP_EEXISTS;
  if (code == 0) code = pump_group_config_add(&config, stream, name, &entry);
  if (code == 0) {
    entry->settings = *settings;
    entry->begin = begin_at(node, stream, settings->start_from);
    entry->revision = revision + 1;
    code = save(node, &config, by);
  }
  pump_group_config_free(&config);
  return code;
}

int pump_groups_update(pump_node *node, pump_bytes stream, pump_bytes name,
                       const pump_group_rules *settings, pump_bytes by) {
  pump_group_config config;
  int64_t revision;
  int code = pump_group_keep_load(node->store, &config, &revision, pump_node_time());
  if (code != 0) return code;
  pump_group_entry *entry = pump_group_config_find(&config, stream, name);
  if (entry) {
    /* One that starts "now" started when that was first said: else it would lose what came since. */
    if (settings->start_from >= 0 || entry->settings.start_from >= 0)
      entry->begin = begin_at(node, stream, settings->start_from);
    entry->settings = *settings;
    entry->revision = revision + 1;
    code = save(node, &config, by);
  }
  pump_group_config_free(&config);
  return entry ? code : PUMP_ENOGROUP;
}

int pump_groups_delete(pump_node *node, pump_bytes stream, pump_bytes name, pump_bytes by) {
  pump_group_config config;
  int64_t revision, now = pump_node_time();
  int code = pump_group_keep_load(node->store, &config, &revision, now);
  if (code != 0) return code;
  pump_group_entry *entry = pump_group_config_find(&config, stream, name);
  if (entry) code = pump_group_keep_forget(node->store, pump_group_entry_key(entry), now);
  if (entry && code == 0) {
    pump_kept_group *kept = pump_groups_find(node, pump_group_entry_key(entry));
    if (kept) kept->is_doomed = true;
    pump_group_config_remove(&config, entry);
    code = save(node, &config, by);
  }
  pump_group_config_free(&config);
  return entry ? code : PUMP_ENOGROUP;
}

/* ---- Consumers ---------------------------------------------------------------------------- */

int pump_groups_join(pump_kept_group *kept, pump_group_member *member, size_t allowed) {
  int32_t most = kept->entry.settings.max_consumers;
  if (most > 0 && kept->group.strategy.count >= (size_t)most) return PUMP_EMAXSUBSCRIBERS;
  member->group = kept;
  kept->has_news = true; /* while nobody consumes no group is told of news */
  kept->node->groups.consumers++;
  pump_group_join(&kept->group, &member->consumer, allowed);
  pump_groups_wake(kept);
  return 0;
}

void pump_groups_leave(pump_group_member *member) {
  pump_kept_group *kept = member->group;
  if (!kept) return;
  member->group = NULL;
  kept->node->groups.consumers--;
  pump_group_leave(&kept->group, &member->consumer);
  pump_groups_wake(kept);
}

void pump_groups_ack(pump_kept_group *kept, const pump_guid *id) {
  pump_group_ack(&kept->group, id, uv_now(kept->node->loop));
  pump_groups_wake(kept);
}

void pump_groups_nak(pump_kept_group *kept, const pump_guid *id, pump_nak action,
                     pump_bytes words) {
  pump_group_nak(&kept->group, id, action, words, uv_now(kept->node->loop));
  pump_groups_wake(kept);
}

int pump_groups_replay(pump_kept_group *kept, int64_t stop_at) {
  int64_t first, end;
  int code = pump_group_keep_find_parked(kept->node->store, pump_group_entry_key(&kept->entry),
                                         pump_node_time(), &first, &end);
  if (code != 0) return code;
  pump_group_replay(&kept->group, first, stop_at < end ? stop_at : end);
  pump_groups_wake(kept);
  return 0;
}

/* ---- Their turn --------------------------------------------------------------------------- */

void pump_groups_notice(pump_node *node, const pump_record *record, int64_t position) {
  pump_bytes stream = record->stream;
  pump_groups *groups = &node->groups;
  pump_table_link *link = pump_table_first(&groups->by_stream, hash_of(groups, stream));
  for (; link; link = pump_table_next(link)) {
    pump_kept_group *kept =
        (pump_kept_group *)(void *)((char *)link - offsetof(pump_kept_group, by_stream));
    if (!pump_bytes_equal(stream, pump_group_entry_stream(&kept->entry))) continue;
    pump_kept_group_notice(kept, record, position);
    if (kept->group.strategy.count > 0) pump_groups_wake(kept);
  }
}

void pump_groups_write(pump_node *node) {
  uint64_t now = uv_now(node->loop);
  for (pump_kept_group *kept = node->groups.due; kept; kept = kept->next_due)
    pump_kept_group_write(kept, now, false);
}

void pump_groups_committed(pump_node *node, bool is_kept) {
  uint64_t now = uv_now(node->loop);
  for (pump_kept_group *kept = node->groups.due; kept; kept = kept->next_due)
    pump_kept_group_committed(kept, now, is_kept);
}

bool pump_groups_run(pump_node *node) {
  pump_groups *groups = &node->groups;
  uint64_t now = uv_now(node->loop);
  if (groups->is_changed) follow(node);
  pump_kept_group *due = groups->due;
  groups->due = NULL;
  for (pump_kept_group *next; due; due = next) {
    next = due->next_due;
    due->is_due = false;
    if (pump_kept_group_run(due, now)) pump_groups_wake(due);
  }
  return groups->due != NULL;
}

void pump_groups_tick(pump_node *node) {
  uint64_t now = uv_now(node->loop);
  for (pump_kept_group *kept = node->groups.first; kept; kept = kept->next) {
    pump_group_expire(&kept->group, now);
    if (kept->group.strategy.count > 0 || pump_kept_group_is_unwritten(kept))
      pump_groups_wake(kept);
    pump_kept_group_write(kept, now, true);
  }
}

bool pump_groups_are_unwritten(const pump_node *node) {
  for (const pump_kept_group *kept = node->groups.first; kept; kept = kept->next) {
    if (pump_kept_group_is_unwritten(kept)) return true;
  }
  return false;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

int pump_groups_open(pump_node *node) {
  node->groups.revision = -1;
  if (uv_random(NULL, NULL, &node->groups.seed, sizeof node->groups.seed, 0, NULL) != 0)
    node->groups.seed = (uint64_t)pump_node_time();
  return follow(node);
}

void pump_groups_end(pump_node *node) {
  for (pump_kept_group *kept = node->groups.first; kept; kept = kept->next)
    pump_kept_group_end(kept);
  pump_store_commit(node->store);
}

void pump_groups_close(pump_node *node) {
  node->groups.due = NULL; /* else each would be looked for in it */
  while (node->groups.first)
    remove_group(node->groups.first);
  pump_table_free(&node->groups.by_key);
  pump_table_free(&node->groups.by_stream);
}

#include "node/group_pages.h"

#include <string.h>
#include "base/bytes.h"
#include "base/json.h"
#include "node/group_keep.h"
#include "node/node_private.h"

/* ---- Pieces ------------------------------------------------------------------------------- */

/* As it stands in a path: all but letters, digits and a few signs as %XX. */
static void put_escaped(pump_buffer *out, pump_bytes name) {
  for (size_t i = 0; i < name.size; i++) {
    unsigned char byte = (unsigned char)name.data[i];
    bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= 'a' && byte <= 'z') || (byte > 0 && strchr("-_.~", byte));
    if (is_plain)
      pump_buffer_byte(out, byte);
    else
      pump_buffer_printf(out, "%%%02X", byte);
  }
}

static void put_text(pump_buffer *out, const char *name, pump_bytes text) {
  pump_buffer_printf(out, "\"%s\": ", name);
  pump_json_write_string(out, text);
}

/* "BASE/subscriptions/STREAM/NAME" and what follows. */
static void put_group_uri(pump_buffer *out, const pump_group_entry *entry, const char *base,
                          const char *behind) {
  pump_buffer_printf(out, "\"%s/subscriptions/", base);
  put_escaped(out, pump_group_entry_stream(entry));
  pump_buffer_byte(out, '/');
  put_escaped(out, pump_group_entry_name(entry));
  pump_buffer_printf(out, "%s\"", behind);
}

static void put_link(pump_buffer *out, const pump_group_entry *entry, const char *base,
                     const char *path, const char *relation, const char *indent) {
  pump_buffer_printf(out, "%s{\n%s  \"href\": ", indent, indent);
  put_group_uri(out, entry, base, path);
  pump_buffer_printf(out, ",\n%s  \"rel\": \"%s\"\n%s}", indent, relation, indent);
}

static void put_uris(pump_buffer *out, const pump_group_entry *entry, const char *base,
                     const char *indent) {
  pump_buffer_printf(out, "%s\"parkedMessageUri\": \"%s/streams/%%24persistentsubscription-",
                     indent, base);
  put_escaped(out, pump_group_entry_stream(entry));
  pump_buffer_text(out, "::");
  put_escaped(out, pump_group_entry_name(entry));
  pump_buffer_printf(out, "-parked\",\n%s\"getMessagesUri\": ", indent);
  put_group_uri(out, entry, base, "/1");
  pump_buffer_text(out, ",\n");
}

/* ---- Figures ------------------------------------------------------------------------------ */

typedef struct figures {
  uint64_t ms; /* since the last look */
  uint64_t count;
  int64_t last; /* the stream's last event; -1: none */
  size_t in_flight;
  const char *status;
} figures;

static uint64_t rate_of(const figures *seen, uint64_t count) {
  return seen->ms > 0 ? count * 1000 / seen->ms : 0;
}

/* Where a server would have read everything into its buffer, it calls itself live. */
static const char *status_of(const pump_kept_group *kept, int64_t last) {
  const pump_group *group = &kept->group;
  bool is_replaying = group->replay_next < group->replay_end;
  bool is_live = last == INT64_MAX || last - group->next < (int64_t)pump_group_room(group);
  if (is_replaying)
    return is_live ? "ReplayingParkedMessages, Live" : "Behind, ReplayingParkedMessages";
  return is_live ? "Live" : "Behind";
}

static figures look_at(pump_kept_group *kept) {
  uint64_t now = uv_now(kept->node->loop);
  const pump_group *group = &kept->group;
  figures seen = {.ms = now - kept->measured_at, .count = kept->total - kept->measured};
  seen.last = pump_store_last_number(kept->node->store, pump_group_entry_stream(&kept->entry));
  seen.status = status_of(kept, seen.last);
  for (const pump_group_consumer *at = group->strategy.first; at; at = at->next)
    seen.in_flight += at->in_flight;
  kept->measured = kept->total;
  kept->measured_at = now;
  return seen;
}

/* Newer servers tell positions too, and know no -1. */
static void put_progress(pump_buffer *out, const pump_kept_group *kept, const figures *seen,
                         const char *indent) {
  long long checkpoint = kept->group.checkpoint, last = seen->last;
  if (!kept->node->is_23) {
    pump_buffer_printf(out,
                       "%s\"lastProcessedEventNumber\": %lld,\n%s\"lastKnownEventNumber\": %lld,\n",
                       indent, checkpoint, indent, last);
    return;
  }
  pump_buffer_printf(out, "%s\"lastProcessedEventNumber\": %lld,\n", indent,
                     checkpoint < 0 ? 0 : checkpoint);
  pump_buffer_printf(out,
                     checkpoint < 0 ? "%s\"lastCheckpointedEventPosition\": null,\n"
                                    : "%s\"lastCheckpointedEventPosition\": \"%lld\",\n",
                     indent, checkpoint);
  pump_buffer_printf(out, "%s\"lastKnownEventNumber\": %lld,\n", indent, last < 0 ? 0 : last);
  pump_buffer_printf(out,
                     last < 0 ? "%s\"lastKnownEventPosition\": null,\n"
                              : "%s\"lastKnownEventPosition\": \"%lld\",\n",
                     indent, last);
}

/* ---- All groups --------------------------------------------------------------------------- */

static void put_summary(pump_buffer *out, pump_kept_group *kept, const char *base) {
  const pump_group_entry *entry = &kept->entry;
  figures seen = look_at(kept);
  pump_buffer_text(out, "  {\n    \"links\": [\n");
  put_link(out, entry, base, "/info", "detail", "      ");
  pump_buffer_text(out, "\n    ],\n    ");
  put_text(out, "eventStreamId", pump_group_entry_stream(entry));
  pump_buffer_text(out, ",\n    ");
  put_text(out, "groupName", pump_group_entry_name(entry));
  pump_buffer_text(out, ",\n");
  put_uris(out, entry, base, "    ");
  pump_buffer_printf(out,
                     "    \"status\": \"%s\",\n    \"averageItemsPerSecond\": %llu.0,\n"
                     "    \"totalItemsProcessed\": %llu,\n",
                     seen.status, (unsigned long long)rate_of(&seen, seen.count),
                     (unsigned long long)kept->total);
  put_progress(out, kept, &seen, "    ");
  pump_buffer_printf(out, "    \"connectionCount\": %zu,\n    \"totalInFlightMessages\": %zu\n  }",
                     kept->group.strategy.count, seen.in_flight);
}

bool pump_page_groups(pump_buffer *out, pump_node *node, const pump_bytes *stream,
                      const char *base) {
  bool is_empty = true;
  pump_buffer_byte(out, '[');
  for (pump_kept_group *kept = node->groups.first; kept; kept = kept->next) {
    if (stream && !pump_bytes_equal(*stream, pump_group_entry_stream(&kept->entry))) continue;
    pump_buffer_text(out, is_empty ? "\n" : ",\n");
    put_summary(out, kept, base);
    is_empty = false;
  }
  pump_buffer_text(out, is_empty ? "]" : "\n]");
  return !is_empty;
}

/* ---- One group ---------------------------------------------------------------------------- */

static const char *truth(bool is_true) {
  return is_true ? "true" : "false";
}

static void put_config(pump_buffer *out, const pump_kept_group *kept) {
  const pump_group_rules *settings = &kept->entry.settings;
  long long start_from = settings->start_from;
  pump_buffer_printf(out,
                     "  \"config\": {\n    \"resolveLinktos\": %s,\n    \"startFrom\": %lld,\n",
                     truth(settings->resolve_links), start_from);
  if (kept->node->is_23) pump_buffer_printf(out, "    \"startPosition\": \"%lld\",\n", start_from);
  pump_buffer_printf(out,
                     "    \"messageTimeoutMilliseconds\": %d,\n    \"extraStatistics\": %s,\n"
                     "    \"maxRetryCount\": %d,\n    \"liveBufferSize\": %d,\n"
                     "    \"bufferSize\": %d,\n    \"readBatchSize\": %d,\n",
                     settings->message_timeout, truth(settings->extra_statistics),
                     settings->max_retries, settings->live_buffer, settings->buffer,
                     settings->read_batch);
  pump_buffer_printf(out,
                     "    \"preferRoundRobin\": %s,\n    \"checkPointAfterMilliseconds\": %d,\n"
                     "    \"minCheckPointCount\": %d,\n    \"maxCheckPointCount\": %d,\n"
                     "    \"maxSubscriberCount\": %d,\n    \"namedConsumerStrategy\": \"%s\"\n"
                     "  },\n",
                     truth(settings->prefer_round_robin), settings->checkpoint_after,
                     settings->checkpoint_min, settings->checkpoint_max, settings->max_consumers,
                     pump_strategy_name(settings->strategy));
}

static void put_timings(pump_buffer *out, const pump_timings *timings) {
  pump_timing told[PUMP_TIMING_COUNT];
  if (!pump_timings_look(timings, told)) {
    pump_buffer_text(out, "[]");
    return;
  }
  for (int i = 0; i < PUMP_TIMING_COUNT; i++)
    pump_buffer_printf(out,
                       "%s\n        {\n          \"key\": \"%s\",\n          \"value\": %llu\n"
                       "        }",
                       i ? "," : "[", told[i].key, (unsigned long long)told[i].ms);
  pump_buffer_text(out, "\n      ]");
}

static void put_connection(pump_buffer *out, const pump_kept_group *kept, const figures *seen,
                           pump_group_consumer *consumer) {
  const pump_group_member *member = (const pump_group_member *)(const void *)consumer;
  uint64_t count = consumer->total - consumer->measured;
  const char *user = !member->who ? "anonymous" : member->who->name ? member->who->name : "admin";
  consumer->measured = consumer->total;
  pump_buffer_text(out, "    {\n      ");
  put_text(out, "from", pump_bytes_of(member->from));
  pump_buffer_text(out, ",\n      ");
  put_text(out, "username", pump_bytes_of(user));
  pump_buffer_printf(out,
                     ",\n      \"averageItemsPerSecond\": %llu.0,\n"
                     "      \"totalItemsProcessed\": %llu,\n"
                     "      \"countSinceLastMeasurement\": %llu,\n"
                     "      \"extraStatistics\": ",
                     (unsigned long long)rate_of(seen, count), (unsigned long long)consumer->total,
                     (unsigned long long)count);
  put_timings(out, consumer->timings);
  pump_buffer_printf(out, ",\n      \"availableSlots\": %zu,\n      \"inFlightMessages\": %zu",
                     consumer->allowed - consumer->in_flight, consumer->in_flight);
  if (kept->node->is_23) {
    pump_buffer_text(out, ",\n      ");
    put_text(out, "connectionName", pump_bytes_of(member->name ? member->name : ""));
  }
  pump_buffer_text(out, "\n    }");
}

static void put_connections(pump_buffer *out, const pump_kept_group *kept, const figures *seen) {
  pump_group_consumer *first = kept->group.strategy.first;
  pump_buffer_text(out, "  \"connections\": [");
  for (pump_group_consumer *at = first; at; at = at->next) {
    pump_buffer_text(out, at == first ? "\n" : ",\n");
    put_connection(out, kept, seen, at);
  }
  pump_buffer_text(out, first ? "\n  ]" : "]");
}

/* Those that are being replayed do not count any more. */
static long long count_parked(const pump_kept_group *kept) {
  int64_t first, end;
  if (pump_group_keep_find_parked(kept->node->store, pump_group_entry_key(&kept->entry),
                                  pump_node_time(), &first, &end) != 0)
    return 0;
  if (first < kept->group.replay_next) first = kept->group.replay_next;
  return end > first ? end - first : 0;
}

void pump_page_group(pump_buffer *out, pump_kept_group *kept, const char *base) {
  const pump_group_entry *entry = &kept->entry;
  const pump_group *group = &kept->group;
  figures seen = look_at(kept);
  pump_buffer_text(out, "{\n  \"links\": [\n");
  put_link(out, entry, base, "/info", "detail", "    ");
  pump_buffer_text(out, ",\n");
  put_link(out, entry, base, "/replayParked", "replayParked", "    ");
  pump_buffer_text(out, "\n  ],\n");
  put_config(out, kept);
  pump_buffer_text(out, "  ");
  put_text(out, "eventStreamId", pump_group_entry_stream(entry));
  pump_buffer_text(out, ",\n  ");
  put_text(out, "groupName", pump_group_entry_name(entry));
  pump_buffer_printf(out, ",\n  \"status\": \"%s\",\n  \"averageItemsPerSecond\": %llu.0,\n",
                     seen.status, (unsigned long long)rate_of(&seen, seen.count));
  put_uris(out, entry, base, "  ");
  pump_buffer_printf(out,
                     "  \"totalItemsProcessed\": %llu,\n  \"countSinceLastMeasurement\": %llu,\n",
                     (unsigned long long)kept->total, (unsigned long long)seen.count);
  put_progress(out, kept, &seen, "  ");
  pump_buffer_printf(out,
                     "  \"readBufferCount\": %zu,\n  \"liveBufferCount\": 0,\n"
                     "  \"retryBufferCount\": %zu,\n  \"totalInFlightMessages\": %zu,\n",
                     group->waiting.count, group->retrying.count, seen.in_flight);
  if (kept->node->like > PUMP_LIKE_4)
    pump_buffer_printf(out, "  \"outstandingMessagesCount\": %zu,\n",
                       group->flying.count + group->leaving.count);
  put_connections(out, kept, &seen);
  if (kept->node->is_23)
    pump_buffer_printf(out, ",\n  \"parkedMessageCount\": %lld", count_parked(kept));
  pump_buffer_text(out, "\n}");
}

/* ---- Replaying ---------------------------------------------------------------------------- */

void pump_page_replay(pump_buffer *out, const pump_node *node, const pump_kept_group *group,
                      pump_bytes key) {
  static const int types[] = {[PUMP_LIKE_4] = 157, [PUMP_LIKE_5] = 176, [PUMP_LIKE_23] = 67};
  pump_guid id;
  char text[PUMP_GUID_TEXT + 1];
  pump_buffer reason;
  pump_store_make_id(&id);
  pump_guid_format(&id, text);
  pump_buffer_init(&reason);
  if (!group) {
    pump_buffer_text(&reason, "Unable to locate '");
    pump_buffer_append(&reason, key.data, key.size);
    pump_buffer_text(&reason, "'");
  }
  pump_buffer_printf(out, "{\n  \"correlationId\": \"%s\",\n  ", text);
  put_text(out, "reason", (pump_bytes){(const char *)reason.data, reason.size});
  pump_buffer_printf(out, ",\n  \"result\": \"%s\",\n  \"msgTypeId\": %d",
                     group ? "Success" : "DoesNotExist", types[node->like]);
  pump_buffer_text(out, node->is_23 ? ",\n  \"label\": \"OtherClientMessage\"\n}" : "\n}");
  pump_buffer_free(&reason);
}

#include "node/group_config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/bytes.h"
#include "base/json.h"

/* ---- The entries -------------------------------------------------------------------------- */

void pump_group_config_free(pump_group_config *config) {
  for (size_t i = 0; i < config->count; i++)
    free(config->entries[i].key);
  free(config->entries);
  *config = (pump_group_config){0};
}

int pump_group_config_add(pump_group_config *config, pump_bytes stream, pump_bytes name,
                          pump_group_entry **entry) {
  size_t size = stream.size + 2 + name.size;
  char *key = malloc(size);
  pump_group_entry *entries = NULL;
  if (key) entries = realloc(config->entries, (config->count + 1) * sizeof *entries);
  if (!entries) {
    free(key);
    return PUMP_ENOMEM;
  }
  memcpy(key, stream.data, stream.size);
  memcpy(key + stream.size, "::", 2);
  memcpy(key + stream.size + 2, name.data, name.size);
  config->entries = entries;
  *entry = &entries[config->count++];
  **entry = (pump_group_entry){.key = key, .key_size = size, .stream_size = stream.size};
  return 0;
}

pump_group_entry *pump_group_config_find(const pump_group_config *config, pump_bytes stream,
                                         pump_bytes name) {
  for (size_t i = 0; i < config->count; i++) {
    pump_group_entry *entry = &config->entries[i];
    if (pump_bytes_equal(pump_group_entry_stream(entry), stream) &&
        pump_bytes_equal(pump_group_entry_name(entry), name))
      return entry;
  }
  return NULL;
}

void pump_group_config_remove(pump_group_config *config, pump_group_entry *entry) {
  size_t behind = config->count - (size_t)(entry - config->entries) - 1;
  free(entry->key);
  memmove(entry, entry + 1, behind * sizeof *entry);
  config->count--;
}

/* ---- Reading and writing ------------------------------------------------------------------ */

/* What stands in an entry beside its stream, its group and its strategy. */
typedef struct field {
  const char *name;
  enum { BOOL, INT32, INT64 } type;
  size_t place;
} field;

#define SETTING(name) offsetof(pump_group_entry, settings.name)
static const field fields[] = {
    {"resolveLinkTos", BOOL, SETTING(resolve_links)},
    {"extraStatistics", BOOL, SETTING(extra_statistics)},
    {"messageTimeout", INT32, SETTING(message_timeout)},
    {"startFrom", INT64, SETTING(start_from)},
    {"liveBufferSize", INT32, SETTING(live_buffer)},
    {"historyBufferSize", INT32, SETTING(buffer)},
    {"maxRetryCount", INT32, SETTING(max_retries)},
    {"readBatchSize", INT32, SETTING(read_batch)},
    {"preferRoundRobin", BOOL, SETTING(prefer_round_robin)},
    {"checkPointAfter", INT32, SETTING(checkpoint_after)},
    {"minCheckPointCount", INT32, SETTING(checkpoint_min)},
    {"maxCheckPointCount", INT32, SETTING(checkpoint_max)},
    {"maxSubscriberCount", INT32, SETTING(max_consumers)},
    {"begin", INT64, offsetof(pump_group_entry, begin)},
    {"revision", INT64, offsetof(pump_group_entry, revision)},
};

static void *place_of(const field *one, const pump_group_entry *entry) {
  return (char *)(uintptr_t)entry + one->place;
}

static bool set_field(const field *one, pump_group_entry *entry, int token, int64_t value) {
  bool is_bool = token == PUMP_JSON_TRUE || token == PUMP_JSON_FALSE;
  if (one->type == BOOL ? !is_bool : token != PUMP_JSON_INTEGER) return false;
  if (one->type == BOOL) *(bool *)place_of(one, entry) = token == PUMP_JSON_TRUE;
  if (one->type == INT64) *(int64_t *)place_of(one, entry) = value;
  if (one->type != INT32) return true;
  *(int32_t *)place_of(one, entry) = (int32_t)value;
  return value >= INT32_MIN && value <= INT32_MAX;
}

/* An entry while it is read: its names may come in any order. */
typedef struct draft {
  pump_group_entry entry;
  pump_buffer stream;
  pump_buffer group;
  pump_buffer strategy;
} draft;

static pump_bytes text_of(const pump_buffer *buffer) {
  return (pump_bytes){(const char *)buffer->data, buffer->size};
}

static bool is_key(const pump_json_reader *reader, const char *name) {
  return pump_bytes_is(reader->string, name);
}

static int read_field(pump_json_reader *reader, draft *to) {
  pump_buffer *text = is_key(reader, "stream")                  ? &to->stream
                      : is_key(reader, "group")                 ? &to->group
                      : is_key(reader, "namedConsumerStrategy") ? &to->strategy
                                                                : NULL;
  const field *found = NULL;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (is_key(reader, fields[i].name)) found = &fields[i];
  }
  int token = pump_json_next(reader);
  if (found) return set_field(found, &to->entry, token, reader->integer) ? 0 : PUMP_EJSON;
  if (!text) return pump_json_skip(reader, token);
  if (token != PUMP_JSON_STRING) return PUMP_EJSON;
  pump_bytes string;
  pump_buffer scratch;
  pump_buffer_init(&scratch);
  int code = pump_json_string(reader, &scratch, &string);
  pump_buffer_clear(text);
  if (code == 0) pump_buffer_append(text, string.data, string.size);
  if (text->failed) code = PUMP_ENOMEM;
  pump_buffer_free(&scratch);
  return code;
}

static int finish_entry(pump_group_config *config, draft *from) {
  pump_group_entry *entry;
  if (from->stream.size == 0 || from->group.size == 0) return PUMP_EJSON;
  if (!pump_strategy_parse(text_of(&from->strategy), &from->entry.settings.strategy))
    return PUMP_EJSON;
  int code = pump_group_config_add(config, text_of(&from->stream), text_of(&from->group), &entry);
  if (code != 0) return code;
  entry->settings = from->entry.settings;
  entry->begin = from->entry.begin;
  entry->revision = from->entry.revision;
  return 0;
}

static int read_entry(pump_json_reader *reader, pump_group_config *config) {
  draft at = {.entry.begin = 0};
  int token, code = 0;
  while (code == 0 && (token = pump_json_next(reader)) == PUMP_JSON_KEY)
    code = read_field(reader, &at);
  if (code == 0) code = token == PUMP_JSON_OBJECT_END ? finish_entry(config, &at) : PUMP_EJSON;
  pump_buffer_free(&at.stream);
  pump_buffer_free(&at.group);
  pump_buffer_free(&at.strategy);
  return code;
}

static int read_entries(pump_json_reader *reader, pump_group_config *config) {
  int token, code = 0;
  if (pump_json_next(reader) != PUMP_JSON_ARRAY) return PUMP_EJSON;
  while (code == 0 && (token = pump_json_next(reader)) == PUMP_JSON_OBJECT)
    code = read_entry(reader, config);
  if (code != 0) return code;
  return token == PUMP_JSON_ARRAY_END ? 0 : PUMP_EJSON;
}

int pump_group_config_read(pump_group_config *config, pump_bytes json) {
  pump_json_reader reader;
  int token, code = 0;
  *config = (pump_group_config){0};
  pump_json_reader_init(&reader, json);
  if (pump_json_next(&reader) != PUMP_JSON_OBJECT) return PUMP_EJSON;
  while (code == 0 && (token = pump_json_next(&reader)) == PUMP_JSON_KEY) {
    if (is_key(&reader, "entries"))
      code = read_entries(&reader, config);
    else
      code = pump_json_skip(&reader, token);
  }
  if (code == 0 && (token != PUMP_JSON_OBJECT_END || pump_json_next(&reader) != PUMP_JSON_END))
    code = PUMP_EJSON;
  if (code != 0) pump_group_config_free(config);
  return code;
}

void pump_group_put_time(pump_buffer *out, int64_t now, const char *zone) {
  time_t seconds = (time_t)(now / 1000000);
  struct tm utc;
  char text[32];
  gmtime_r(&seconds, &utc);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  pump_buffer_printf(out, "%s.%06d%s", text, (int)(now % 1000000), zone);
}

static void write_entry(pump_buffer *out, const pump_group_entry *entry) {
  pump_buffer_text(out, "    {\n      \"stream\": ");
  pump_json_write_string(out, pump_group_entry_stream(entry));
  pump_buffer_text(out, ",\n      \"group\": ");
  pump_json_write_string(out, pump_group_entry_name(entry));
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const field *one = &fields[i];
    const void *place = place_of(one, entry);
    pump_buffer_printf(out, ",\n      \"%s\": ", one->name);
    if (one->type == BOOL)
      pump_buffer_text(out, *(const bool *)place ? "true" : "false");
    else
      pump_json_write_integer(out, one->type == INT32 ? *(const int32_t *)place
                                                      : *(const int64_t *)place);
  }
  pump_buffer_printf(out, ",\n      \"namedConsumerStrategy\": \"%s\"\n    }",
                     pump_strategy_name(entry->settings.strategy));
}

void pump_group_config_write(pump_buffer *out, const pump_group_config *config, pump_bytes by,
                             int64_t now) {
  pump_buffer_text(out, "{\n  \"version\": \"2\",\n  \"updated\": \"");
  pump_group_put_time(out, now, "+00:00");
  pump_buffer_text(out, "\",\n  \"updatedBy\": ");
  pump_json_write_string(out, by);
  pump_buffer_text(out, ",\n  \"entries\": [");
  for (size_t i = 0; i < config->count; i++) {
    pump_buffer_text(out, i > 0 ? ",\n" : "\n");
    write_entry(out, &config->entries[i]);
  }
  pump_buffer_text(out, config->count > 0 ? "\n  ]\n}" : "]\n}");
}

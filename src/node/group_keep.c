#include "node/group_keep.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/json.h"

#define CONFIG_STREAM   "$persistentSubscriptionConfig"
#define CONFIG_METADATA "{\"$maxCount\":2}"
#define STREAM_PREFIX   "$persistentsubscription-"
#define CHECKPOINT      "-checkpoint"
#define PARKED          "-parked"
#define ADMINS_ONLY(metadata_readers)                                                              \
  "\"$acl\":{\"$r\":\"$admins\",\"$w\":\"$admins\",\"$d\":\"$admins\",\"$mr\":\"" metadata_readers \
  "\",\"$mw\":\"$admins\"}}"
#define CHECKPOINT_METADATA "{\"$maxCount\":2," ADMINS_ONLY("$all")

/* prefix + key + suffix, to be freed. */
static char *name_of(const char *prefix, pump_bytes key, const char *suffix, size_t *size) {
  size_t before = strlen(prefix), behind = strlen(suffix);
  *size = before + key.size + behind;
  char *name = malloc(*size);
  if (!name) return NULL;
  memcpy(name, prefix, before);
  memcpy(name + before, key.data, key.size);
  memcpy(name + before + key.size, suffix, behind);
  return name;
}

static int append(pump_store *store, pump_bytes stream, const pump_new_event *event, int64_t now) {
  pump_new_event named = *event;
  pump_store_written written;
  pump_store_make_id(&named.id);
  int code = pump_store_append(store, stream, PUMP_ANY, &named, 1, now, &written);
  return code == 0 && written.result != PUMP_STORE_SUCCESS ? PUMP_ESTORE : code;
}

static int set_metadata(pump_store *store, pump_bytes stream, pump_bytes metadata, int64_t now) {
  size_t size;
  char *name = name_of("$$", stream, "", &size);
  if (!name) return PUMP_ENOMEM;
  pump_new_event event = {.type = pump_bytes_of("$metadata"), .data = metadata, .is_json = true};
  int code = append(store, (pump_bytes){name, size}, &event, now);
  free(name);
  return code;
}

/* ---- Which groups there are --------------------------------------------------------------- */

typedef struct loading {
  pump_group_config *config;
  int code;
} loading;

/* What cannot be read somebody else wrote there: an older text counts then. */
static bool load(void *ud, const pump_event *event) {
  loading *at = ud;
  at->code = pump_group_config_read(at->config, event->record->data);
  return at->code == PUMP_EJSON;
}

int pump_group_keep_load(pump_store *store, pump_group_config *config, int64_t *revision,
                         int64_t now) {
  pump_read read = {.from = PUMP_END, .max_count = PUMP_MAX_PAGE, .backward = true};
  pump_store_page page;
  loading at = {.config = config};
  *config = (pump_group_config){0};
  int code =
      pump_store_read_stream(store, pump_bytes_of(CONFIG_STREAM), &read, now, load, &at, &page);
  *revision = page.last < PUMP_STORE_TOMBSTONE ? page.last : -1;
  if (code != 0) pump_group_config_free(config);
  if (code == 0 && at.code == PUMP_ENOMEM) code = PUMP_ENOMEM;
  return code;
}

int64_t pump_group_keep_revision(pump_store *store) {
  int64_t last = pump_store_last_number(store, pump_bytes_of(CONFIG_STREAM));
  return last < PUMP_STORE_TOMBSTONE ? last : -1;
}

int pump_group_keep_save(pump_store *store, const pump_group_config *config, pump_bytes by,
                         int64_t needed, int64_t now) {
  pump_bytes stream = pump_bytes_of(CONFIG_STREAM);
  int code = 0;
  if (pump_group_keep_revision(store) < 0)
    code = set_metadata(store, stream, pump_bytes_of(CONFIG_METADATA), now);
  if (code != 0) return code;
  pump_buffer text;
  pump_buffer_init(&text);
  pump_group_config_write(&text, config, by, now);
  pump_new_event event = {.type = pump_bytes_of("$PersistentConfig"),
                          .data = {(const char *)text.data, text.size},
                          .is_json = true};
  code = text.failed ? PUMP_ENOMEM : text.size > PUMP_MAX_EVENT / 2 ? PUMP_ETOOLARGE : 0;
  if (code == 0) code = append(store, stream, &event, now);
  pump_buffer_free(&text);
  /* Each text holds all groups: thousands of them would take gigabytes before they are cleaned. */
  return code == 0 ? pump_store_trim(store, stream, needed, now) : code;
}

/* ---- Checkpoints -------------------------------------------------------------------------- */

/* 5, or "5" as newer servers write it. */
static bool read_number(void *ud, const pump_event *event) {
  int64_t *number = ud;
  pump_json_reader reader;
  pump_json_reader_init(&reader, event->record->data);
  int token = pump_json_next(&reader);
  if (token == PUMP_JSON_STRING) {
    pump_json_reader_init(&reader, reader.string);
    token = pump_json_next(&reader);
  }
  if (token == PUMP_JSON_INTEGER) *number = reader.integer;
  return true;
}

int pump_group_keep_find_checkpoint(pump_store *store, pump_bytes key, int64_t now,
                                    int64_t *number) {
  size_t size;
  char *name = name_of(STREAM_PREFIX, key, CHECKPOINT, &size);
  *number = -1;
  if (!name) return PUMP_ENOMEM;
  pump_store_result result;
  int code = pump_store_read_event(store, (pump_bytes){name, size}, PUMP_END, false, now,
                                   read_number, number, &result);
  free(name);
  return code;
}

int pump_group_keep_checkpoint(pump_store *store, pump_bytes key, int64_t number, bool is_23,
                               int64_t now) {
  size_t size;
  char *name = name_of(STREAM_PREFIX, key, CHECKPOINT, &size);
  if (!name) return PUMP_ENOMEM;
  pump_bytes stream = {name, size};
  int code = 0;
  if (pump_store_last_number(store, stream) < 0)
    code = set_metadata(store, stream, pump_bytes_of(CHECKPOINT_METADATA), now);
  pump_buffer text;
  pump_buffer_init(&text);
  pump_buffer_printf(&text, is_23 ? "\"%lld\"" : "%lld", (long long)number);
  pump_new_event event = {
      .type = pump_bytes_of(is_23 ? "$SubscriptionCheckpoint" : "SubscriptionCheckpoint"),
      .data = {(const char *)text.data, text.size},
      .is_json = true};
  if (text.failed) code = PUMP_ENOMEM;
  if (code == 0) code = append(store, stream, &event, now);
  pump_buffer_free(&text);
  free(name);
  return code;
}

/* ---- Parked ones -------------------------------------------------------------------------- */

char *pump_group_keep_parked_stream(pump_bytes key, size_t *size) {
  return name_of(STREAM_PREFIX, key, PARKED, size);
}

int pump_group_keep_park(pump_store *store, pump_bytes key, pump_bytes link, int64_t number,
                         pump_bytes reason, int64_t now) {
  size_t size;
  char *name = pump_group_keep_parked_stream(key, &size);
  if (!name) return PUMP_ENOMEM;
  pump_buffer why;
  pump_buffer_init(&why);
  pump_buffer_text(&why, "{\n  \"added\": \"");
  pump_group_put_time(&why, now, "+00:00");
  pump_buffer_text(&why, "\",\n  \"reason\": ");
  if (pump_json_write_string(&why, reason) != 0) pump_buffer_text(&why, "\"\"");
  pump_buffer_printf(&why, ",\n  \"subscriptionEventNumber\": %lld\n}", (long long)number);
  pump_new_event event = {
      .type = pump_bytes_of("$>"), .data = link, .metadata = {(const char *)why.data, why.size}};
  int code = why.failed ? PUMP_ENOMEM : append(store, (pump_bytes){name, size}, &event, now);
  pump_buffer_free(&why);
  free(name);
  return code;
}

static bool take_first(void *ud, const pump_event *event) {
  int64_t *first = ud;
  if (*first >= 0) return false;
  *first = event->record->number;
  return true;
}

int pump_group_keep_find_parked(pump_store *store, pump_bytes key, int64_t now, int64_t *first,
                                int64_t *end) {
  size_t size;
  char *name = pump_group_keep_parked_stream(key, &size);
  pump_store_page page = {.is_end = false};
  int code = name ? 0 : PUMP_ENOMEM;
  *first = -1;
  for (int64_t from = 0; code == 0 && *first < 0 && !page.is_end; from = page.next) {
    pump_read read = {.from = from, .max_count = PUMP_MAX_PAGE};
    code = pump_store_read_stream(store, (pump_bytes){name, size}, &read, now, take_first, first,
                                  &page);
    if (page.result != PUMP_STORE_SUCCESS) break;
  }
  *end = code == 0 && *first >= 0 ? page.last + 1 : 0;
  if (*first < 0) *first = 0;
  free(name);
  return code;
}

int pump_group_keep_unpark(pump_store *store, pump_bytes key, int64_t before, int64_t now) {
  size_t size;
  char *name = pump_group_keep_parked_stream(key, &size);
  if (!name) return PUMP_ENOMEM;
  pump_buffer metadata;
  pump_buffer_init(&metadata);
  pump_buffer_printf(&metadata, "{\"$tb\":%lld,", (long long)before);
  pump_buffer_text(&metadata, ADMINS_ONLY("$admins"));
  int code = metadata.failed
                 ? PUMP_ENOMEM
                 : set_metadata(store, (pump_bytes){name, size},
                                (pump_bytes){(const char *)metadata.data, metadata.size}, now);
  pump_buffer_free(&metadata);
  free(name);
  return code;
}

/* ---- The end of a group ------------------------------------------------------------------- */

int pump_group_keep_forget(pump_store *store, pump_bytes key, int64_t now) {
  static const char *const suffixes[] = {CHECKPOINT, PARKED};
  int code = 0;
  for (size_t i = 0; code == 0 && i < 2; i++) {
    size_t size;
    char *name = name_of(STREAM_PREFIX, key, suffixes[i], &size);
    pump_store_written written;
    if (!name) return PUMP_ENOMEM;
    if (pump_store_last_number(store, (pump_bytes){name, size}) >= 0)
      code = pump_store_delete(store, (pump_bytes){name, size}, PUMP_ANY, false, now, &written);
    free(name);
  }
  return code;
}

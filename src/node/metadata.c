#include "node/metadata.h"

#include "base/bytes.h"
#include "base/json.h"

/* Servers count time in 100 ns and 64 bits. */
#define MAX_SECONDS 922337203685

/* Takes the value behind a name. */
typedef bool take_value(void *ud, pump_json_reader *reader, pump_bytes name);

/* The object that the reader stands before. */
static bool take_object(pump_json_reader *reader, take_value *take, void *ud) {
  int token = pump_json_next(reader);
  if (token != PUMP_JSON_OBJECT) return false;
  while ((token = pump_json_next(reader)) == PUMP_JSON_KEY) {
    if (!take(ud, reader, reader->string)) return false;
  }
  return token == PUMP_JSON_OBJECT_END;
}

static bool take_all(pump_bytes text, take_value *take, void *ud) {
  pump_json_reader reader;
  pump_json_reader_init(&reader, text);
  return take_object(&reader, take, ud) && pump_json_next(&reader) == PUMP_JSON_END;
}

/* The names of roles: one, or a list. */
static bool take_roles(void *ud, pump_json_reader *reader, pump_bytes name) {
  static const char *const rights[] = {"$r", "$w", "$d", "$mr", "$mw"};
  (void)ud;
  bool is_right = false;
  for (size_t i = 0; i < sizeof rights / sizeof *rights; i++)
    is_right = is_right || pump_bytes_is(name, rights[i]);
  if (!is_right) return false;
  int token = pump_json_next(reader);
  if (token == PUMP_JSON_STRING) return true;
  if (token != PUMP_JSON_ARRAY) return false;
  while ((token = pump_json_next(reader)) == PUMP_JSON_STRING)
    ;
  return token == PUMP_JSON_ARRAY_END;
}

static bool take_number(pump_json_reader *reader, int64_t least, int64_t *number) {
  if (pump_json_next(reader) != PUMP_JSON_INTEGER) return false;
  *number = reader->integer >= least ? reader->integer : -1;
  return true;
}

static bool take_seconds(pump_json_reader *reader, int64_t *seconds) {
  return take_number(reader, 1, seconds) && reader->integer <= MAX_SECONDS &&
         reader->integer >= -MAX_SECONDS;
}

static bool take_flag(pump_json_reader *reader) {
  int token = pump_json_next(reader);
  return token == PUMP_JSON_TRUE || token == PUMP_JSON_FALSE;
}

static bool take_anything(pump_json_reader *reader) {
  return pump_json_skip(reader, pump_json_next(reader)) == 0;
}

static bool take_metadata(void *ud, pump_json_reader *reader, pump_bytes name) {
  pump_metadata *out = ud;
  int64_t ignored;
  if (pump_bytes_is(name, "$maxCount")) return take_number(reader, 1, &out->max_count);
  if (pump_bytes_is(name, "$maxAge")) return take_seconds(reader, &out->max_age);
  if (pump_bytes_is(name, "$tb")) return take_number(reader, 0, &out->truncate_before);
  if (pump_bytes_is(name, "$cacheControl")) return take_seconds(reader, &ignored);
  if (pump_bytes_is(name, "$tmp")) return take_flag(reader);
  if (pump_bytes_is(name, "$acl")) return take_object(reader, take_roles, NULL);
  return take_anything(reader);
}

static bool take_setting(void *ud, pump_json_reader *reader, pump_bytes name) {
  (void)ud;
  if (pump_bytes_is(name, "$userStreamAcl") || pump_bytes_is(name, "$systemStreamAcl"))
    return take_object(reader, take_roles, NULL);
  return take_anything(reader);
}

bool pump_metadata_read(pump_metadata *out, pump_bytes text) {
  static const pump_metadata nothing = {-1, -1, -1};
  *out = nothing;
  if (take_all(text, take_metadata, out)) return true;
  *out = nothing;
  return false;
}

bool pump_metadata_are_settings(pump_bytes text) {
  return take_all(text, take_setting, NULL);
}

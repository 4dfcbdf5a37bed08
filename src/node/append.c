/* Writing: whether a write may happen, or has happened before, and doing it. */
#include "node/store_private.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/metadata.h"

#define SETTINGS "$settings"

typedef enum decision { WRITE, HAPPENED_BEFORE, WRONG_VERSION, DELETED } decision;

/* What is written where; `stream` follows what has been written. */
typedef struct appending {
  pump_store *store;
  pump_bytes name;
  pump_store_stream stream;
  int64_t now;
} appending;

static bool is_soft_deleted(const pump_store_stream *stream) {
  return stream->truncate_before == INT64_MAX;
}

/* "$$name", to be freed, or NULL after an error was noted. */
static char *metastream_of(pump_store *store, pump_bytes name) {
  char *meta = malloc(name.size + 2);
  if (!meta) {
    pump_store_no_memory(store);
    return NULL;
  }
  memcpy(meta, "$$", 2);
  memcpy(meta + 2, name.data, name.size);
  return meta;
}

/* ---- Expected versions and idempotency ---------------------------------------------------- */

/* Any and StreamExists: only the newest ids are remembered, each where it stood first. As long as
 * the first event is new, all are; a write that is half old can't be told from a wrong one. */
static decision decide_by_recent(const appending *to, const pump_new_event *events, size_t count,
                                 pump_store_written *out) {
  for (size_t i = 0; i < count; i++) {
    const pump_recent_entry *entry = pump_recent_find(&to->store->recent, &events[i].id);
    if (!entry) entry = pump_recent_find(&to->store->fresh, &events[i].id);
    if (!entry || entry->stream != to->stream.id) return i == 0 ? WRITE : WRONG_VERSION;
    if (i == 0) out->first = entry->number;
    out->last = entry->number;
  }
  return count > 0 ? HAPPENED_BEFORE : WRITE;
}

static int stands_at(pump_store *store, int64_t stream, int64_t number, const pump_guid *id,
                     bool *is_same) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_EVENT_ID);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, stream);
  sqlite3_bind_int64(row, 2, number);
  int code = sqlite3_step(row);
  *is_same = code == SQLITE_ROW &&
             pump_bytes_equal(pump_store_column(row, 0), (pump_bytes){(const char *)id->bytes, 16});
  int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(row);
  return result;
}

/* A version that has passed: the same write again if all its ids stand right behind it. */
static int decide_by_ids(const appending *to, int64_t expected, const pump_new_event *events,
                         size_t count, pump_store_written *out, decision *decided) {
  *decided = WRONG_VERSION;
  for (size_t i = 0; i < count; i++) {
    bool is_same;
    int code =
        stands_at(to->store, to->stream.id, expected + 1 + (int64_t)i, &events[i].id, &is_same);
    if (code != 0) return code;
    if (is_same) continue;
    if (i == 0 && expected == PUMP_NO_STREAM && is_soft_deleted(&to->stream)) *decided = WRITE;
    return 0;
  }
  if (count == 0) return 0;
  out->first = expected + 1;
  out->last = expected + (int64_t)count;
  *decided = HAPPENED_BEFORE;
  return 0;
}

/* The stream's own metadata: *row stands on it, in column 0, and is the caller's to reset; NULL:
 * there is none. */
static int find_metadata(pump_store *store, pump_bytes name, sqlite3_stmt **row) {
  *row = NULL;
  sqlite3_stmt *found = pump_store_statement(store, STATEMENT_LAST_DATA);
  if (!found) return PUMP_ESTORE;
  char *meta = metastream_of(store, name);
  if (!meta) return PUMP_ESTORE;
  sqlite3_bind_blob64(found, 1, meta, name.size + 2, free);
  int code = sqlite3_step(found);
  if (code == SQLITE_ROW) {
    *row = found;
    return 0;
  }
  int result = code == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(found);
  return result;
}

static int has_metadata(pump_store *store, pump_bytes name, bool *has) {
  sqlite3_stmt *row;
  int code = find_metadata(store, name, &row);
  *has = row != NULL;
  if (row) sqlite3_reset(row);
  return code;
}

bool pump_store_has_metadata(pump_store *store, pump_bytes stream) {
  bool has;
  return has_metadata(store, stream, &has) == 0 && has;
}

static int decide(const appending *to, int64_t expected, const pump_new_event *events, size_t count,
                  pump_store_written *out, decision *decided) {
  const pump_store_stream *stream = &to->stream;
  *decided = DELETED;
  if (stream->last == PUMP_STORE_TOMBSTONE) return 0;
  if (expected == PUMP_STREAM_EXISTS) {
    if (is_soft_deleted(stream)) return 0;
    bool has = true;
    int code = stream->last < 0 ? has_metadata(to->store, to->name, &has) : 0;
    *decided = WRONG_VERSION;
    if (code != 0 || !has) return code;
  }
  if (expected == PUMP_ANY || expected == PUMP_STREAM_EXISTS) {
    *decided = decide_by_recent(to, events, count, out);
    return 0;
  }
  if (expected < stream->last) return decide_by_ids(to, expected, events, count, out, decided);
  *decided = expected == stream->last ? WRITE : WRONG_VERSION;
  return 0;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static int add_stream(appending *to) {
  sqlite3_stmt *row = pump_store_statement(to->store, STATEMENT_ADD_STREAM);
  if (!row) return PUMP_ESTORE;
  pump_store_bind(row, 1, to->name);
  sqlite3_bind_int64(row, 2, to->stream.last);
  int code = pump_store_run(to->store, row);
  to->stream.id = sqlite3_last_insert_rowid(to->store->db);
  return code;
}

static int move_stream(appending *to) {
  sqlite3_stmt *row = pump_store_statement(to->store, STATEMENT_MOVE_STREAM);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, to->stream.id);
  sqlite3_bind_int64(row, 2, to->stream.last);
  return pump_store_run(to->store, row);
}

static int add_event(appending *to, int64_t number, const pump_new_event *event) {
  sqlite3_stmt *row = pump_store_statement(to->store, STATEMENT_ADD_EVENT);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, to->store->end_position);
  sqlite3_bind_int64(row, 2, to->stream.id);
  sqlite3_bind_int64(row, 3, number);
  sqlite3_bind_blob(row, 4, event->id.bytes, sizeof event->id.bytes, SQLITE_STATIC);
  pump_store_bind(row, 5, event->type);
  pump_store_bind(row, 6, event->data);
  pump_store_bind(row, 7, event->metadata);
  sqlite3_bind_int64(row, 8, to->now);
  sqlite3_bind_int64(row, 9, event->is_json);
  int code = pump_store_run(to->store, row);
  to->store->last_position = to->store->end_position++;
  return code;
}

/* *last is then the last of them. */
static int add_events(appending *to, size_t count, pump_store_source source, void *ud,
                      pump_new_event *last) {
  int code = to->stream.id == 0 ? add_stream(to) : 0;
  for (size_t i = 0; code == 0 && i < count; i++) {
    code = source(ud, last);
    if (code == 0) code = add_event(to, ++to->stream.last, last);
  }
  return code == 0 && count > 0 ? move_stream(to) : code;
}

static int next_given(void *ud, pump_new_event *event) {
  const pump_new_event **next = ud;
  *event = *(*next)++;
  return 0;
}

/* ---- Metadata ----------------------------------------------------------------------------- */

static void bind_limit(sqlite3_stmt *row, int parameter, int64_t limit) {
  if (limit < 0)
    sqlite3_bind_null(row, parameter);
  else
    sqlite3_bind_int64(row, parameter, limit);
}

/* Keeps with the stream what its metadata says, so that reading it needs no second look. */
static int apply_metadata(pump_store *store, pump_bytes name, pump_bytes metadata) {
  appending of = {.store = store, .name = name};
  int code = pump_store_find(store, name, &of.stream);
  if (code == 0 && of.stream.id == 0) code = add_stream(&of);
  sqlite3_stmt *row = code == 0 ? pump_store_statement(store, STATEMENT_LIMIT_STREAM) : NULL;
  if (!row) return PUMP_ESTORE;
  pump_metadata said;
  pump_bytes acl = pump_metadata_read(&said, metadata) ? metadata : pump_bytes_of("{}");
  sqlite3_bind_int64(row, 1, of.stream.id);
  bind_limit(row, 2, said.max_count);
  bind_limit(row, 3, said.max_age);
  bind_limit(row, 4, said.truncate_before);
  sqlite3_bind_text64(row, 5, acl.data, acl.size, SQLITE_STATIC, SQLITE_UTF8);
  return pump_store_run(store, row);
}

/* $userStreamAcl and $systemStreamAcl of the stream $settings. */
static int apply_settings(pump_store *store, pump_bytes settings) {
  store->has_defaults = true;
  int code = pump_store_run(store, pump_store_statement(store, STATEMENT_DROP_DEFAULTS));
  if (code != 0 || !pump_metadata_are_settings(settings)) return code;
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_ADD_DEFAULTS);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_text64(row, 1, settings.data, settings.size, SQLITE_STATIC, SQLITE_UTF8);
  return pump_store_run(store, row);
}

void pump_store_make_id(pump_guid *id) {
  sqlite3_randomness(sizeof id->bytes, id->bytes);
  pump_guid_stamp(id);
}

/* The store's own metadata events: to "$$name", whatever stands there. */
static int write_metadata(pump_store *store, pump_bytes name, pump_bytes metadata, int64_t now) {
  char *meta = metastream_of(store, name);
  if (!meta) return PUMP_ESTORE;
  appending to = {.store = store, .name = {meta, name.size + 2}, .now = now};
  pump_new_event event = {.type = pump_bytes_of("$metadata"), .data = metadata, .is_json = true};
  pump_store_make_id(&event.id);
  const pump_new_event *next = &event;
  int code = pump_store_find(store, to.name, &to.stream);
  if (code == 0) code = add_events(&to, 1, next_given, &next, &event);
  if (code == 0) code = apply_metadata(store, name, metadata);
  free(meta);
  return code;
}

static bool is_json_object(pump_store *store, pump_bytes text) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_IS_JSON);
  if (!row) return false;
  sqlite3_bind_text64(row, 1, text.size ? text.data : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
  bool is_object = sqlite3_step(row) == SQLITE_ROW && sqlite3_column_int(row, 0) == 1;
  sqlite3_reset(row);
  return is_object;
}

/* A write to a soft-deleted stream (or to its metadata) brings it back: from then on it is only
 * truncated, at the first number that is not hidden. */
static int undelete(pump_store *store, pump_bytes name, pump_bytes metadata, int64_t first,
                    int64_t now) {
  if (!is_json_object(store, metadata)) return 0;
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_SET_TRUNCATE);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_text64(row, 1, metadata.data, metadata.size, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(row, 2, first);
  int code = sqlite3_step(row) == SQLITE_ROW ? 0 : pump_store_fail(store);
  if (code == 0) code = write_metadata(store, name, pump_store_column(row, 0), now);
  sqlite3_reset(row);
  return code;
}

static int bring_back(appending *to, int64_t first) {
  sqlite3_stmt *row;
  int code = find_metadata(to->store, to->name, &row);
  if (!row) return code;
  code = undelete(to->store, to->name, pump_store_column(row, 0), first, to->now);
  sqlite3_reset(row);
  return code;
}

static int after_append(appending *to, const pump_store_stream *before, const pump_new_event *last,
                        size_t count) {
  if (count > 0 && pump_bytes_is(to->name, SETTINGS)) {
    int code = apply_settings(to->store, last->data);
    if (code != 0) return code;
  }
  if (is_soft_deleted(before)) return bring_back(to, before->last + 1);
  appending of = {.store = to->store, .now = to->now};
  if (!pump_store_is_metastream(to->name, &of.name)) return 0;
  int code = pump_store_find(to->store, of.name, &of.stream);
  if (code == 0 && count > 0)
    code = apply_metadata(to->store, of.name, last->is_json ? last->data : (pump_bytes){0});
  if (code == 0 && is_soft_deleted(&of.stream)) code = bring_back(&of, of.stream.last + 1);
  return code;
}

/* ---- One write as a whole ----------------------------------------------------------------- */

int pump_store_begin(pump_store *store) {
  if (store->broken) return PUMP_ESTORE;
  if (!sqlite3_get_autocommit(store->db)) return 0;
  store->end_before = store->end_position;
  store->last_before = store->last_position;
  return pump_store_run(store, pump_store_statement(store, STATEMENT_BEGIN));
}

int pump_store_set_mark(pump_store *store, pump_store_mark *mark) {
  *mark = (pump_store_mark){store->end_position, store->last_position};
  return pump_store_run(store, pump_store_statement(store, STATEMENT_MARK));
}

int pump_store_finish(pump_store *store, int code, const pump_store_mark *mark) {
  if (code == 0) code = pump_store_run(store, pump_store_statement(store, STATEMENT_KEEP));
  if (code == 0) return 0;
  store->end_position = mark->end;
  store->last_position = mark->last;
  if (sqlite3_get_autocommit(store->db)) {
    store->broken = true; /* SQLite rolled everything back */
    return code;
  }
  char error[sizeof store->error];
  memcpy(error, store->error, sizeof error);
  if (pump_store_run(store, pump_store_statement(store, STATEMENT_UNDO)) != 0 ||
      pump_store_run(store, pump_store_statement(store, STATEMENT_KEEP)) != 0)
    store->broken = true;
  memcpy(store->error, error, sizeof error);
  return code;
}

static int refuse(pump_store_written *out, decision decided, const pump_store_stream *stream) {
  out->result = decided == DELETED ? PUMP_STORE_DELETED : PUMP_STORE_WRONG_VERSION;
  out->version = stream->last;
  return 0;
}

/* Where the last event of a write that happened before stands. */
static int find_position(const appending *to, pump_store_written *out) {
  sqlite3_stmt *row = pump_store_statement(to->store, STATEMENT_POSITION);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, to->stream.id);
  sqlite3_bind_int64(row, 2, out->last);
  int step = sqlite3_step(row);
  if (step == SQLITE_ROW) out->position = sqlite3_column_int64(row, 0);
  int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(to->store);
  sqlite3_reset(row);
  return code;
}

int pump_store_append_from(pump_store *store, pump_bytes stream, int64_t expected,
                           const pump_new_event *ids, size_t count, pump_store_source source,
                           void *ud, int64_t now, pump_store_written *out) {
  *out = (pump_store_written){PUMP_STORE_SUCCESS, -1, -1, -1, -1, false};
  appending to = {.store = store, .name = stream, .now = now};
  decision decided = WRITE;
  int code = pump_store_begin(store);
  if (code == 0) code = pump_store_find(store, stream, &to.stream);
  if (code == 0) code = decide(&to, expected, ids, count, out, &decided);
  if (code != 0) return code;
  if (decided == HAPPENED_BEFORE) return find_position(&to, out);
  if (decided != WRITE) return refuse(out, decided, &to.stream);

  pump_store_stream before = to.stream;
  pump_store_mark mark;
  pump_new_event event;
  code = pump_store_set_mark(store, &mark);
  if (code != 0) return code;
  code = add_events(&to, count, source, ud, &event);
  out->is_new = true;
  out->first = before.last + 1;
  out->last = to.stream.last;
  /* A write of nothing takes a place in $all all the same. */
  out->position = count > 0 ? store->last_position : store->end_position++;
  if (code == 0) code = after_append(&to, &before, &event, count);
  return pump_store_finish(store, code, &mark);
}

void pump_store_remember(pump_store *store, pump_bytes stream, const pump_new_event *ids,
                         size_t count, int64_t first) {
  pump_store_stream row;
  if (pump_store_find(store, stream, &row) != 0) return;
  for (size_t i = 0; i < count; i++)
    pump_recent_add(&store->fresh, &ids[i].id, row.id, first + (int64_t)i);
}

int pump_store_append(pump_store *store, pump_bytes stream, int64_t expected,
                      const pump_new_event *events, size_t count, int64_t now,
                      pump_store_written *out) {
  const pump_new_event *next = events;
  int code =
      pump_store_append_from(store, stream, expected, events, count, next_given, &next, now, out);
  if (code == 0 && out->is_new) pump_store_remember(store, stream, events, count, out->first);
  return code;
}

static int add_tombstone(appending *to) {
  pump_new_event event = {.type = pump_bytes_of("$streamDeleted")};
  pump_store_make_id(&event.id);
  int code = to->stream.id == 0 ? add_stream(to) : 0;
  if (code == 0) code = add_event(to, PUMP_STORE_TOMBSTONE, &event);
  to->stream.last = PUMP_STORE_TOMBSTONE;
  return code == 0 ? move_stream(to) : code;
}

int pump_store_delete(pump_store *store, pump_bytes stream, int64_t expected, bool hard,
                      int64_t now, pump_store_written *out) {
  *out = (pump_store_written){PUMP_STORE_SUCCESS, -1, -1, -1, -1, true};
  appending to = {.store = store, .name = stream, .now = now};
  pump_new_event nothing_like_it; /* a deletion is a write that never happened before */
  pump_store_make_id(&nothing_like_it.id);
  decision decided = WRITE;
  int code = pump_store_begin(store);
  if (code == 0) code = pump_store_find(store, stream, &to.stream);
  if (code == 0) code = decide(&to, expected, &nothing_like_it, 1, out, &decided);
  if (code != 0) return code;
  if (decided != WRITE) return refuse(out, decided, &to.stream);

  pump_store_mark mark;
  code = pump_store_set_mark(store, &mark);
  if (code != 0) return code;
  code = hard ? add_tombstone(&to)
              : write_metadata(store, stream, pump_bytes_of("{\"$tb\":9223372036854775807}"), now);
  if (code == 0 && pump_bytes_is(stream, SETTINGS)) code = apply_settings(store, (pump_bytes){0});
  out->position = store->last_position;
  if (hard) out->last = PUMP_STORE_TOMBSTONE;
  return pump_store_finish(store, code, &mark);
}

/* Reading: rows become records in place, links are followed, a page is bounded by its reader. */
#include "node/store_private.h"

#include <string.h>
#include "base/bytes.h"

enum { POSITION, NUMBER, ID, TYPE, DATA, METADATA, CREATED, IS_JSON, NAME };

/* Views into the row: they hold until the statement moves on. */
static int64_t read_row(sqlite3_stmt *row, pump_bytes stream, pump_record *record) {
  pump_bytes id = pump_store_column(row, ID);
  *record = (pump_record){
      .stream = stream,
      .type = pump_store_column(row, TYPE),
      .data = pump_store_column(row, DATA),
      .metadata = pump_store_column(row, METADATA),
      .number = sqlite3_column_int64(row, NUMBER),
      .created = sqlite3_column_int64(row, CREATED),
      .is_json = sqlite3_column_int(row, IS_JSON) != 0,
  };
  if (id.size == sizeof record->id) memcpy(&record->id, id.data, sizeof record->id);
  return sqlite3_column_int64(row, POSITION);
}

int64_t pump_store_oldest(const pump_store_stream *stream, int64_t now) {
  if (stream->max_age < 0 || stream->max_age > now / 1000000) return INT64_MIN;
  return now - stream->max_age * 1000000;
}

/* ---- One event ---------------------------------------------------------------------------- */

/* On success `row` stands on the event and is the caller's to reset. */
static int find_event(pump_store *store, pump_bytes name, int64_t number, int64_t now,
                      sqlite3_stmt **row, pump_record *record, int64_t *position,
                      pump_store_result *result) {
  pump_store_stream stream;
  *row = NULL;
  int code = pump_store_find(store, name, &stream);
  if (code != 0) return code;
  *result = PUMP_STORE_DELETED;
  if (stream.last == PUMP_STORE_TOMBSTONE) return 0;
  *result = PUMP_STORE_NO_STREAM;
  if (stream.last < 0 || stream.truncate_before == INT64_MAX) return 0;
  *result = PUMP_STORE_NO_EVENT;
  if (number == PUMP_END) number = stream.last;
  if (number < pump_store_first_number(&stream) || number > stream.last) return 0;
  sqlite3_stmt *event = pump_store_statement(store, STATEMENT_EVENT);
  if (!event) return PUMP_ESTORE;
  sqlite3_bind_int64(event, 1, stream.id);
  sqlite3_bind_int64(event, 2, number);
  int step = sqlite3_step(event);
  if (step == SQLITE_ROW) *position = read_row(event, name, record);
  if (step == SQLITE_ROW && record->created >= pump_store_oldest(&stream, now)) {
    *row = event;
    *result = PUMP_STORE_SUCCESS;
    return 0;
  }
  code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(event);
  return code;
}

static bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* With a sign and between blanks, as servers take it. */
static bool parse_number(pump_bytes text, int64_t *number) {
  const char *at = text.data, *end = text.data + text.size;
  while (at < end && is_blank(*at))
    at++;
  while (at < end && is_blank(end[-1]))
    end--;
  bool is_negative = at < end && *at == '-';
  if (at < end && (*at == '-' || *at == '+')) at++;
  int64_t value = 0;
  if (at == end) return false;
  for (; at < end; at++) {
    if (*at < '0' || *at > '9') return false;
    if (value > (INT64_MAX - (*at - '0')) / 10) return false;
    value = value * 10 + (*at - '0');
  }
  *number = is_negative ? -value : value;
  return true;
}

/* "3@stream": up to the first '@' a number, behind it a name. */
static bool parse_link(pump_bytes data, int64_t *number, pump_bytes *stream) {
  const char *at = data.size ? memchr(data.data, '@', data.size) : NULL;
  if (!at || !parse_number((pump_bytes){data.data, (size_t)(at - data.data)}, number)) return false;
  *stream = (pump_bytes){at + 1, data.size - (size_t)(at + 1 - data.data)};
  return *number >= PUMP_END && stream->size > 0;
}

bool pump_store_is_link(pump_bytes data) {
  int64_t number;
  pump_bytes stream;
  return parse_link(data, &number, &stream);
}

/* Hands one event on, with the event that it links to where that is asked for and there. */
static int give(pump_store *store, const pump_record *record, int64_t position, bool resolve_links,
                int64_t now, pump_store_sink sink, void *ud, bool *is_taken) {
  pump_event event = {.record = record, .position = {position, position}};
  sqlite3_stmt *row = NULL;
  pump_record target;
  if (resolve_links && pump_bytes_is(record->type, "$>")) {
    event.link = record;
    event.record = NULL;
    int64_t number, target_position;
    pump_bytes stream;
    pump_store_result result = PUMP_STORE_NO_EVENT;
    int code = 0;
    if (parse_link(record->data, &number, &stream))
      code = find_event(store, stream, number, now, &row, &target, &target_position, &result);
    if (code != 0) return code;
    if (row) event.record = &target;
  }
  *is_taken = sink(ud, &event);
  if (row) sqlite3_reset(row);
  return 0;
}

/* What a server says of system streams that nobody has written to, as of metadata that a stream
 * has not: there is nothing, and that is fine. */
static bool is_nothing_yet(pump_store *store, pump_bytes name, pump_store_result result) {
  pump_bytes of;
  return (result == PUMP_STORE_NO_STREAM || result == PUMP_STORE_NO_EVENT) &&
         pump_store_is_metastream(name, &of) && pump_store_has_stream(store, of);
}

int pump_store_read_event(pump_store *store, pump_bytes stream, int64_t number, bool resolve_links,
                          int64_t now, pump_store_sink sink, void *ud, pump_store_result *result) {
  sqlite3_stmt *row;
  pump_record record;
  int64_t position;
  int code = find_event(store, stream, number, now, &row, &record, &position, result);
  if (code != 0) return code;
  if (is_nothing_yet(store, stream, *result)) *result = PUMP_STORE_SUCCESS;
  if (!row) return 0;
  if (!resolve_links || !pump_bytes_is(record.type, "$>")) {
    bool is_taken;
    code = give(store, &record, position, false, now, sink, ud, &is_taken);
    sqlite3_reset(row);
    return code;
  }
  /* The target is found by the same statement: read the link by the one for ranges. */
  sqlite3_reset(row);
  pump_read read = {.from = record.number, .max_count = 1, .resolve_links = true};
  pump_store_page page;
  return pump_store_read_stream(store, stream, &read, now, sink, ud, &page);
}

/* ---- Pages -------------------------------------------------------------------------------- */

typedef struct reading {
  pump_store *store;
  const pump_read *read;
  int64_t now;
  pump_store_sink sink;
  void *ud;
  int64_t oldest;     /* created before this: hidden */
  int64_t last_given; /* number or position; -1: none */
  int64_t refused;    /* what the sink did not want; -1: nothing */
} reading;

static int give_rows(reading *at, sqlite3_stmt *rows, pump_bytes stream) {
  int code = 0, step;
  at->last_given = at->refused = -1;
  while ((step = sqlite3_step(rows)) == SQLITE_ROW) {
    pump_record record;
    bool is_taken;
    int64_t position =
        read_row(rows, stream.data ? stream : pump_store_column(rows, NAME), &record);
    if (record.created < at->oldest) continue;
    code = give(at->store, &record, position, at->read->resolve_links, at->now, at->sink, at->ud,
                &is_taken);
    if (code != 0) break;
    int64_t place = stream.data ? record.number : position;
    if (is_taken)
      at->last_given = place;
    else
      at->refused = place;
    if (!is_taken) break;
  }
  if (code == 0 && step != SQLITE_ROW && step != SQLITE_DONE) code = pump_store_fail(at->store);
  sqlite3_reset(rows);
  return code;
}

static int give_range(reading *at, int which, const pump_store_stream *stream, pump_bytes name,
                      int64_t first, int64_t last) {
  sqlite3_stmt *rows = pump_store_statement(at->store, which);
  if (!rows) return PUMP_ESTORE;
  sqlite3_bind_int64(rows, 1, stream->id);
  sqlite3_bind_int64(rows, 2, first);
  sqlite3_bind_int64(rows, 3, last);
  at->oldest = pump_store_oldest(stream, at->now);
  return give_rows(at, rows, name);
}

static int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* The first event from *number on, and when it was created; there is none: *number is then -1. */
static int age_from(pump_store *store, int64_t stream, int64_t *number, int64_t *created) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_AGE_FROM);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, stream);
  sqlite3_bind_int64(row, 2, *number);
  int step = sqlite3_step(row);
  *number = step == SQLITE_ROW ? sqlite3_column_int64(row, 0) : -1;
  *created = step == SQLITE_ROW ? sqlite3_column_int64(row, 1) : INT64_MIN;
  int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(row);
  return code;
}

void pump_store_pass_aged(pump_store *store) {
  store->passes_aged = true;
}

/* Halves what may be hidden until the first that is not is found: events grow younger. */
static int pass_aged(const reading *at, const pump_store_stream *stream, int64_t from,
                     pump_store_page *page) {
  int64_t number = stream->last, created, high = stream->last;
  int code = age_from(at->store, stream->id, &number, &created);
  if (code == 0 && created < at->oldest) {
    page->next = stream->last + 1;
    page->is_end = true;
    return 0;
  }
  while (code == 0 && from < high) {
    int64_t middle = number = from + (high - from) / 2;
    code = age_from(at->store, stream->id, &number, &created);
    if (code == 0 && created < at->oldest)
      from = number + 1;
    else
      high = middle;
  }
  page->next = from;
  if (code == 0) code = age_from(at->store, stream->id, &page->next, &created);
  page->is_end = false;
  return code;
}

/* The arithmetic of next and is_end is a server's, odd corners included: clients know them. */
static int read_forward(reading *at, const pump_store_stream *stream, pump_bytes name,
                        pump_store_page *page) {
  int64_t from = at->read->from, least = pump_store_first_number(stream);
  int64_t until =
      from > INT64_MAX - at->read->max_count ? INT64_MAX : from + at->read->max_count - 1;
  page->next = least;
  if (until < least) return 0;
  int code = give_range(at, STATEMENT_FORWARD, stream, name, max(from, least), until);
  page->next = at->last_given >= 0 ? at->last_given + 1 : min(until, stream->last) + 1;
  page->is_end = until >= stream->last;
  if (at->refused >= 0) {
    page->next = at->refused;
    page->is_end = false;
  }
  bool is_aged = stream->max_age >= 0 && at->last_given < 0 && at->refused < 0;
  if (code == 0 && is_aged && at->store->passes_aged && max(from, least) <= stream->last)
    code = pass_aged(at, stream, max(from, least), page);
  return code;
}

static int read_backward(reading *at, const pump_store_stream *stream, pump_bytes name,
                         pump_store_page *page) {
  int64_t from = at->read->from < 0 ? stream->last : at->read->from;
  int64_t least = pump_store_first_number(stream);
  int64_t first = max(0, from - at->read->max_count + 1);
  page->next = -1;
  page->is_end = true;
  if (from < least) return 0;
  bool is_end = first <= least;
  first = max(first, least);
  int code = give_range(at, STATEMENT_BACKWARD, stream, name, first, from);
  is_end = is_end || first == 0 || (first <= stream->last && at->last_given != first);
  if (at->refused >= 0) {
    page->next = at->refused;
    page->is_end = false;
  } else if (!is_end) {
    page->next = min(first - 1, stream->last);
    page->is_end = false;
  }
  return code;
}

int pump_store_read_stream(pump_store *store, pump_bytes stream, const pump_read *read, int64_t now,
                           pump_store_sink sink, void *ud, pump_store_page *page) {
  *page = (pump_store_page){.next = -1, .last = -1, .is_end = true};
  pump_store_stream row;
  int code = pump_store_find(store, stream, &row);
  if (code != 0) return code;
  page->last = row.last;
  page->result = PUMP_STORE_DELETED;
  if (row.last == PUMP_STORE_TOMBSTONE) return 0;
  page->result = PUMP_STORE_NO_STREAM;
  if (row.last < 0 || row.truncate_before == INT64_MAX) return 0;
  page->result = PUMP_STORE_SUCCESS;
  page->is_end = false;
  reading at = {.store = store, .read = read, .now = now, .sink = sink, .ud = ud};
  return read->backward ? read_backward(&at, &row, stream, page)
                        : read_forward(&at, &row, stream, page);
}

/* Forward from a position, that one included; backward from before it. */
int pump_store_read_all(pump_store *store, const pump_read *read, int64_t now, pump_store_sink sink,
                        void *ud, pump_store_page *page) {
  *page = (pump_store_page){.last = -1};
  int which = read->backward ? STATEMENT_ALL_BACKWARD : STATEMENT_ALL_FORWARD;
  sqlite3_stmt *rows = pump_store_statement(store, which);
  if (!rows) return PUMP_ESTORE;
  sqlite3_bind_int64(rows, 1, read->position.commit);
  sqlite3_bind_int64(rows, 2, read->max_count);
  reading at = {store, read, now, sink, ud, INT64_MIN, -1, -1};
  int code = give_rows(&at, rows, (pump_bytes){0});
  if (read->backward)
    page->next = at.last_given >= 0 ? at.last_given : read->position.commit;
  else if (at.refused >= 0)
    page->next = at.refused;
  else
    page->next =
        at.last_given >= 0 ? at.last_given + 1 : max(read->position.commit, store->end_position);
  page->is_end = at.last_given < 0 && at.refused < 0;
  return code;
}

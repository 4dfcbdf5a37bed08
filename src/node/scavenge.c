/* Giving back the space of events that nobody can read any more. Readers of streams see no
 * difference; $all shows such events until they are gone, as on servers. The last event of a
 * stream stays, and so do tombstones: numbers and positions are never given twice. */
#include "node/store_private.h"

/* Pages of the file that are handed back at once, about 2 MiB. */
#define FREE_PAGES 500
/* Events of a stream that go at once, where more come than one at a time. */
#define TRIM_BUDGET 10
/* How long what became of a transaction is known, and an open one may go on. */
#define TRANSACTION_AGE (24 * INT64_C(3600) * 1000000)

/* What of a stream may go: what stands before first, or is older and not its last. */
typedef struct limits {
  int64_t first;
  int64_t oldest;
  int64_t last;
} limits;

static limits limits_of(const pump_store_stream *stream, int64_t now) {
  if (stream->last == PUMP_STORE_TOMBSTONE) return (limits){INT64_MAX, INT64_MIN, INT64_MAX};
  int64_t first = pump_store_first_number(stream);
  return (limits){.first = first < stream->last ? first : stream->last,
                  .oldest = pump_store_oldest(stream, now),
                  .last = stream->last};
}

static int drop(pump_store *store, int64_t position) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_DROP_EVENT);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, position);
  return pump_store_run(store, row);
}

/* From the front of the stream on, until one stays or the budget is spent. */
static int clean_stream(pump_store *store, int64_t id, const limits *may_go, int64_t needed,
                        int *budget) {
  sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_FRONT);
  if (!rows) return PUMP_ESTORE;
  int code = 0, step = SQLITE_ROW;
  while (code == 0 && *budget > 0) {
    sqlite3_bind_int64(rows, 1, id);
    step = sqlite3_step(rows);
    int64_t position = sqlite3_column_int64(rows, 0), number = sqlite3_column_int64(rows, 1);
    bool is_old = sqlite3_column_int64(rows, 2) < may_go->oldest && number < may_go->last;
    sqlite3_reset(rows);
    if (step != SQLITE_ROW || (number >= may_go->first && !is_old)) break;
    if (position >= needed) break;
    code = drop(store, position);
    --*budget;
  }
  return step == SQLITE_ROW || step == SQLITE_DONE ? code : pump_store_fail(store);
}

/* The next stream behind *stream; 0: there is none. */
static int next_stream(pump_store *store, int64_t *stream, limits *may_go, int64_t now) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_NEXT_STREAM);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, *stream);
  int step = sqlite3_step(row);
  int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(store);
  *stream = 0;
  if (step == SQLITE_ROW) {
    pump_store_stream found;
    *stream = sqlite3_column_int64(row, 0);
    code = pump_store_find(store, pump_store_column(row, 1), &found);
    *may_go = limits_of(&found, now);
  }
  sqlite3_reset(row);
  return code;
}

/* The oldest transaction, if it may go. One that is younger, or that the end of $all is known by,
 * has to wait, and those behind it. */
static int old_transaction(pump_store *store, int64_t now, int64_t *id, bool *is_there) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_OLD_TRANSACTION);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, now - TRANSACTION_AGE);
  int step = sqlite3_step(row);
  *is_there = step == SQLITE_ROW;
  *id = *is_there ? sqlite3_column_int64(row, 0) : 0;
  int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(row);
  return code;
}

/* First its events, and it when there are none any more. */
static int drop_transaction(pump_store *store, int64_t id, int *budget) {
  sqlite3_stmt *events = pump_store_statement(store, STATEMENT_DROP_SOME_KEPT);
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_DROP_TRANSACTION);
  if (!events || !row) return PUMP_ESTORE;
  sqlite3_bind_int64(events, 1, id);
  sqlite3_bind_int64(events, 2, *budget);
  int code = pump_store_run(store, events);
  if (code == 0) *budget -= sqlite3_changes(store->db);
  if (code != 0 || *budget <= 0) return code;
  --*budget;
  sqlite3_bind_int64(row, 1, id);
  return pump_store_run(store, row);
}

static int clean_transactions(pump_store *store, int64_t now, int *budget, bool *is_done) {
  bool is_there = true;
  int code = 0;
  while (code == 0 && is_there && *budget > 0) {
    int64_t id;
    code = old_transaction(store, now, &id, &is_there);
    if (code == 0 && is_there) code = drop_transaction(store, id, budget);
  }
  *is_done = code == 0 && !is_there;
  return code;
}

int pump_store_scavenge(pump_store *store, int64_t *stream, int budget, int64_t needed, int64_t now,
                        bool *is_done) {
  *is_done = false;
  int code = pump_store_begin(store);
  while (code == 0 && budget > 0 && !*is_done) {
    int64_t at = *stream;
    limits may_go = {0};
    code = next_stream(store, &at, &may_go, now);
    if (code == 0 && at == 0) code = clean_transactions(store, now, &budget, is_done);
    if (code != 0 || at == 0) break;
    budget--;
    code = clean_stream(store, at, &may_go, needed, &budget);
    if (budget > 0) *stream = at;
  }
  if (code != 0) pump_store_rollback(store);
  return code;
}

int pump_store_trim(pump_store *store, pump_bytes stream, int64_t needed, int64_t now) {
  pump_store_stream found;
  pump_store_mark mark;
  int budget = TRIM_BUDGET;
  int code = pump_store_begin(store);
  if (code == 0) code = pump_store_find(store, stream, &found);
  if (code == 0) code = pump_store_set_mark(store, &mark);
  if (code != 0) return code;
  limits may_go = limits_of(&found, now);
  code = clean_stream(store, found.id, &may_go, needed, &budget);
  return pump_store_finish(store, code, &mark);
}

static int64_t number_of(pump_store *store, int which) {
  sqlite3_stmt *row = pump_store_statement(store, which);
  int64_t number = row && sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
  sqlite3_reset(row);
  return number;
}

int64_t pump_store_used(pump_store *store) {
  int64_t pages = number_of(store, STATEMENT_PAGES) - number_of(store, STATEMENT_FREE_PAGES);
  return pages * number_of(store, STATEMENT_PAGE_SIZE);
}

int pump_store_shrink(pump_store *store, bool *is_done) {
  int64_t before = number_of(store, STATEMENT_FREE_PAGES);
  char sql[64];
  *is_done = true;
  if (before == 0) return 0;
  sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%d)", FREE_PAGES);
  if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) return pump_store_fail(store);
  int64_t after = number_of(store, STATEMENT_FREE_PAGES);
  *is_done = after == 0 || after >= before; /* what is in memory does not shrink */
  return 0;
}

/* The floor under the embedded node: the same rows in the same transactions, by SQLite alone.
 *
 *   sqlite FILE insert|read EVENTS [A_TRANSACTION] */
#include <sqlite3.h>
#include <string.h>

#include "canned.h"
#include "measure.h"

static sqlite3 *db;

static void check(int code) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
  fprintf(stderr, "bench/sqlite: %s\n", sqlite3_errmsg(db));
  exit(1);
}

static sqlite3_stmt *prepare(const char *sql) {
  sqlite3_stmt *statement;
  check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL));
  return statement;
}

/* As the node opens its store: src/node/store.c. */
static void open_store(const char *file) {
  check(sqlite3_open(file, &db));
  check(sqlite3_exec(db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                     "CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY,"
                     "  stream INTEGER NOT NULL, number INTEGER NOT NULL, id BLOB NOT NULL,"
                     "  type BLOB NOT NULL, created INTEGER NOT NULL, is_json INTEGER NOT NULL,"
                     "  metadata BLOB NOT NULL, data BLOB NOT NULL);"
                     "CREATE UNIQUE INDEX IF NOT EXISTS events_by_number"
                     "  ON events (stream, number);",
                     NULL, NULL, NULL));
}

static void insert(long long events, long long a_transaction) {
  sqlite3_stmt *add = prepare("INSERT INTO events (position, stream, number, id, type, data,"
                              " metadata, created, is_json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
                              " ?8, ?9)");
  measure start = measure_now();
  for (long long i = 0; i < events; i++) {
    uint64_t id[2] = {(uint64_t)i, 0};
    if (i % a_transaction == 0) check(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    sqlite3_bind_int64(add, 1, i);
    sqlite3_bind_int64(add, 2, 1);
    sqlite3_bind_int64(add, 3, i);
    sqlite3_bind_blob(add, 4, id, sizeof id, SQLITE_STATIC);
    sqlite3_bind_blob(add, 5, canned_type.data, (int)canned_type.size, SQLITE_STATIC);
    sqlite3_bind_blob(add, 6, canned_body, sizeof canned_body - 1, SQLITE_STATIC);
    sqlite3_bind_blob(add, 7, "", 0, SQLITE_STATIC);
    sqlite3_bind_int64(add, 8, INT64_C(1780000000000000) + i);
    sqlite3_bind_int(add, 9, 1);
    check(sqlite3_step(add));
    check(sqlite3_reset(add));
    if ((i + 1) % a_transaction == 0) check(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
  }
  if (events % a_transaction != 0) check(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
  measure_say(start, events);
  sqlite3_finalize(add);
}

/* Pages of 500, every column looked at. */
static void read_events(long long events) {
  sqlite3_stmt *get = prepare("SELECT position, number, id, type, data, metadata, created, is_json"
                              " FROM events WHERE stream = 1 AND number BETWEEN ?1 AND ?2"
                              " ORDER BY number");
  measure start = measure_now();
  long long seen = 0, bytes = 0;
  for (long long from = 0; from < events; from += CANNED_PAGE) {
    sqlite3_bind_int64(get, 1, from);
    sqlite3_bind_int64(get, 2, from + CANNED_PAGE - 1);
    while (sqlite3_step(get) == SQLITE_ROW) {
      for (int column = 0; column < 8; column++)
        bytes += sqlite3_column_type(get, column) == SQLITE_BLOB
                     ? sqlite3_column_bytes(get, column)
                     : sqlite3_column_int64(get, column) & 1;
      seen++;
    }
    check(sqlite3_reset(get));
  }
  if (seen != events || bytes == 0) fprintf(stderr, "bench/sqlite: %lld events\n", seen);
  measure_say(start, seen);
  sqlite3_finalize(get);
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  open_store(arguments[1]);
  if (strcmp(arguments[2], "read") == 0)
    read_events(atoll(arguments[3]));
  else
    insert(atoll(arguments[3]), count > 4 ? atoll(arguments[4]) : CANNED_PAGE);
  return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

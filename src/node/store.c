#include "node/store_private.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/bytes.h"

/* "PUMP", in the header of the file, and the version of the tables below. */
#define APPLICATION_ID 0x50554d50
#define FORMAT_VERSION 2
#define RECENT_IDS     100000

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/* The steps from each format to the next: a new store takes all of them, an older one those that
 * it lacks. Names are bytes: they may hold a NUL. */
static const char *const upgrades[FORMAT_VERSION] = {
    "CREATE TABLE streams (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE,"
    "  last INTEGER NOT NULL, max_count INTEGER, max_age INTEGER, truncate_before INTEGER,"
    "  acl TEXT);"
    "CREATE TABLE events (position INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
    "  number INTEGER NOT NULL, id BLOB NOT NULL, type BLOB NOT NULL, created INTEGER NOT NULL,"
    "  is_json INTEGER NOT NULL, metadata BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE UNIQUE INDEX events_by_number ON events (stream, number);",
    "CREATE TABLE transactions (id INTEGER PRIMARY KEY, stream BLOB NOT NULL,"
    "  expected INTEGER NOT NULL, started INTEGER NOT NULL,"
    "  first INTEGER, last INTEGER, position INTEGER, committed INTEGER);"
    "CREATE TABLE transaction_events (place INTEGER PRIMARY KEY, transaction_id INTEGER NOT NULL,"
    "  id BLOB NOT NULL, type BLOB NOT NULL, is_json INTEGER NOT NULL, metadata BLOB NOT NULL,"
    "  data BLOB NOT NULL);"
    "CREATE TABLE default_acls (is_system INTEGER PRIMARY KEY, acl TEXT NOT NULL);"
    "CREATE INDEX transaction_events_by_transaction"
    "  ON transaction_events (transaction_id, place);",
};

/* ---- Statements --------------------------------------------------------------------------- */

int pump_store_fail(pump_store *store) {
  int code = sqlite3_errcode(store->db);
  /* The words for SQLITE_ERROR are about our SQL; of the others the general ones say more. */
  const char *words = code == SQLITE_ERROR ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
  int number = sqlite3_system_errno(store->db);
  if (code == SQLITE_IOERR && number)
    snprintf(store->error, sizeof store->error, "%s (%s)", words, strerror(number));
  else
    snprintf(store->error, sizeof store->error, "%s", words);
  return PUMP_ESTORE;
}

int pump_store_no_memory(pump_store *store) {
  snprintf(store->error, sizeof store->error, "out of memory");
  return PUMP_ESTORE;
}

const char *pump_store_error(const pump_store *store) {
  return store->error;
}

sqlite3_stmt *pump_store_statement(pump_store *store, int which) {
  static const char *const sql[] = {
#define XX(name, text) text,
      PUMP_STORE_STATEMENT_MAP(XX)
#undef XX
  };
  sqlite3_stmt **statement = &store->statements[which];
  if (!*statement && sqlite3_prepare_v3(store->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                        statement, NULL) != SQLITE_OK)
    pump_store_fail(store);
  return *statement;
}

int pump_store_run(pump_store *store, sqlite3_stmt *statement) {
  if (!statement) return PUMP_ESTORE;
  int code = sqlite3_step(statement);
  int result = code == SQLITE_DONE || code == SQLITE_ROW ? 0 : pump_store_fail(store);
  sqlite3_reset(statement);
  return result;
}

void pump_store_bind(sqlite3_stmt *statement, int index, pump_bytes bytes) {
  sqlite3_bind_blob64(statement, index, bytes.size ? bytes.data : "", bytes.size, SQLITE_STATIC);
}

pump_bytes pump_store_column(sqlite3_stmt *statement, int index) {
  const char *data = sqlite3_column_blob(statement, index);
  int size = sqlite3_column_bytes(statement, index);
  return (pump_bytes){data, size > 0 ? (size_t)size : 0};
}

/* ---- Opening ------------------------------------------------------------------------------ */

/* Where the store ends, and which events came last. */
static int recall(pump_store *store) {
  sqlite3_stmt *end = pump_store_statement(store, STATEMENT_END_POSITION);
  if (!end || sqlite3_step(end) != SQLITE_ROW) return pump_store_fail(store);
  store->end_position = sqlite3_column_int64(end, 0);
  store->last_position = sqlite3_column_int64(end, 1);
  store->has_defaults = sqlite3_column_int(end, 2) != 0;
  sqlite3_reset(end);

  sqlite3_stmt *ids = pump_store_statement(store, STATEMENT_NEWEST_IDS);
  if (!ids) return PUMP_ESTORE;
  sqlite3_bind_int64(ids, 1, RECENT_IDS);
  int code;
  while ((code = sqlite3_step(ids)) == SQLITE_ROW) {
    pump_bytes id = pump_store_column(ids, 0);
    pump_guid guid = {{0}};
    if (id.size == sizeof guid) memcpy(&guid, id.data, sizeof guid);
    pump_recent_add(&store->recent, &guid, sqlite3_column_int64(ids, 1),
                    sqlite3_column_int64(ids, 2));
  }
  int result = code == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(ids);
  return result;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t error_size,
                                                        const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error, error_size, format, arguments);
  va_end(arguments);
  return PUMP_ESTORE;
}

static bool is_folder(const char *file) {
  struct stat about;
  return stat(file, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Why a file that is not there was not made. SQLite tries to read it then, and tells of that. */
static int why_not_made(const char *file) {
  char folder[PATH_MAX];
  const char *slash = strrchr(file, '/');
  int size = slash == file ? 1 : slash ? (int)(slash - file) : 0;
  snprintf(folder, sizeof folder, "%.*s", size > 0 ? size : 1, size > 0 ? file : ".");
  return access(folder, W_OK | X_OK) == 0 ? ENOENT : errno;
}

/* Says why a step of opening failed, for people who know the file and not SQLite. */
static int explain(pump_store *store, const char *file, char *error, size_t error_size) {
  int code = sqlite3_errcode(store->db);
  int number = sqlite3_system_errno(store->db);
  switch (code) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return refuse(error, error_size,
                  "%s: this store is open already, here or in another program: close it there, or "
                  "have all connect to one that serves it (pumpsh serve, pump.node)",
                  file);
  case SQLITE_CORRUPT:
    return refuse(
        error, error_size,
        "%s: this store is damaged: go on with a copy of it, or with what .recover of the "
        "program sqlite3 saves from it",
        file);
  case SQLITE_NOTADB: return refuse(error, error_size, "%s: this file is no store", file);
  case SQLITE_READONLY:
    return refuse(error, error_size, "%s: no permission to write this store", file);
  case SQLITE_CANTOPEN:
    if (is_folder(file))
      return refuse(error, error_size, "%s: this is a folder: name a file in it", file);
    if (number == ENOENT) number = why_not_made(file);
    return refuse(error, error_size, "%s: cannot open the store: %s", file,
                  number ? strerror(number) : "is it a file, and may its folder be written?");
  default:
    pump_store_fail(store);
    return refuse(error, error_size, "%s: cannot open the store: %s", file, store->error);
  }
}

static bool ask(pump_store *store, const char *sql, int64_t *value) {
  sqlite3_stmt *statement = NULL;
  bool is_row = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;
  if (is_row) *value = sqlite3_column_int64(statement, 0);
  return sqlite3_finalize(statement) == SQLITE_OK && is_row;
}

/* Refuses what is no store or is from the future. Nothing is changed before this is known. */
static int check_format(pump_store *store, const char *file, int64_t *format, char *error,
                        size_t error_size) {
  int64_t application, tables;
  if (!ask(store, "PRAGMA application_id", &application) ||
      !ask(store, "PRAGMA user_version", format) ||
      !ask(store, "SELECT count(*) FROM sqlite_schema", &tables))
    return explain(store, file, error, error_size);
  bool is_new = application == 0 && tables == 0;
  if (is_new) *format = 0;
  if (is_new) return 0;
  if (application != APPLICATION_ID)
    return refuse(error, error_size, "%s: this SQLite database is no store of pump", file);
  if (*format < 1)
    return refuse(error, error_size, "%s: this store has format %lld, which there never was", file,
                  (long long)*format);
  if (*format > FORMAT_VERSION)
    return refuse(error, error_size,
                  "%s: this store has format %lld, this pump knows up to %d: use a newer pump",
                  file, (long long)*format, FORMAT_VERSION);
  return 0;
}

/* A writing transaction takes the lock that, in exclusive mode, shuts others out for good. Only a
 * new file is written to: a full disk is no reason not to read what is there. */
static int prepare_file(pump_store *store, const char *file, bool is_new, bool sync_normal,
                        char *error, size_t error_size) {
  char settings[128];
  snprintf(settings, sizeof settings,
           "%sPRAGMA journal_mode = WAL; PRAGMA synchronous = %s; BEGIN IMMEDIATE; COMMIT",
           is_new ? "PRAGMA auto_vacuum = INCREMENTAL; " : "", sync_normal ? "NORMAL" : "FULL");
  if (sqlite3_exec(store->db, settings, NULL, NULL, NULL) != SQLITE_OK)
    return explain(store, file, error, error_size);
  return 0;
}

/* Makes the tables of a new store, or brings those of an older one up to date, all or nothing. */
static int upgrade(pump_store *store, int64_t format) {
  if (format == FORMAT_VERSION) return 0;
  bool is_good = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
  for (; is_good && format < FORMAT_VERSION; format++)
    is_good = sqlite3_exec(store->db, upgrades[format], NULL, NULL, NULL) == SQLITE_OK;
  static const char end[] = "PRAGMA application_id = " TEXT(
      APPLICATION_ID) ";"
                      "PRAGMA user_version = " TEXT(FORMAT_VERSION) "; COMMIT";
  return is_good && sqlite3_exec(store->db, end, NULL, NULL, NULL) == SQLITE_OK ? 0 : PUMP_ESTORE;
}

static int open_store(pump_store *store, const char *file, bool sync_normal, char *error,
                      size_t error_size) {
  const char *name = file ? file : "memory";
  int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  errno = 0; /* SQLite tells of it even where no call of the system failed */
  if (sqlite3_open_v2(file ? file : ":memory:", &store->db, flags, NULL) != SQLITE_OK)
    return store->db ? explain(store, name, error, error_size)
                     : refuse(error, error_size, "%s: out of memory", name);
  if (sqlite3_db_readonly(store->db, "main") == 1)
    return refuse(error, error_size, "%s: no permission to write this store", name);
  /* Before the first access: then WAL needs no shared memory, and nobody else gets in. */
  if (file) sqlite3_exec(store->db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
  int64_t format;
  int code = check_format(store, name, &format, error, error_size);
  if (code == 0 && file)
    code = prepare_file(store, name, format == 0, sync_normal, error, error_size);
  if (code == 0 && upgrade(store, format) != 0) code = explain(store, name, error, error_size);
  if (code == 0 && recall(store) != 0) code = explain(store, name, error, error_size);
  return code;
}

int pump_store_open(pump_store **store, const char *file, bool sync_normal, char *error,
                    size_t error_size) {
  *store = NULL;
  if (file && !*file) return refuse(error, error_size, "the store's file has no name");
  pump_store *opened = calloc(1, sizeof *opened);
  if (!opened) return refuse(error, error_size, "out of memory");
  pump_recent_init(&opened->recent, RECENT_IDS);
  pump_recent_init(&opened->fresh, RECENT_IDS);
  int code = open_store(opened, file, sync_normal, error, error_size);
  if (code != 0) {
    pump_store_close(opened);
    return code;
  }
  *store = opened;
  return 0;
}

void pump_store_close(pump_store *store) {
  if (!store) return;
  for (int i = 0; i < STATEMENT_COUNT; i++)
    sqlite3_finalize(store->statements[i]);
  sqlite3_close(store->db);
  pump_recent_free(&store->recent);
  pump_recent_free(&store->fresh);
  free(store);
}

/* ---- Transactions ------------------------------------------------------------------------- */

void pump_store_rollback(pump_store *store) {
  bool is_open = !sqlite3_get_autocommit(store->db);
  if (!is_open && !store->broken) return;
  char error[sizeof store->error]; /* why: what follows may fail as well, and matters less */
  memcpy(error, store->error, sizeof error);
  if (is_open) pump_store_run(store, pump_store_statement(store, STATEMENT_ROLLBACK));
  memcpy(store->error, error, sizeof error);
  store->broken = false;
  store->end_position = store->end_before;
  store->last_position = store->last_before;
  pump_recent_clear(&store->fresh);
}

/* What is written to a file that is gone, or is another one by now, nobody would ever read. */
static bool has_moved(pump_store *store) {
  int moved = 0;
  sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved) snprintf(store->error, sizeof store->error, "its file was deleted, moved or replaced");
  return moved;
}

int pump_store_commit(pump_store *store) {
  if (sqlite3_get_autocommit(store->db) && !store->broken) return 0;
  if (!store->broken && !has_moved(store) &&
      pump_store_run(store, pump_store_statement(store, STATEMENT_COMMIT)) == 0) {
    pump_recent_move(&store->recent, &store->fresh);
    return 0;
  }
  /* A COMMIT that failed may leave the transaction open or have ended it. */
  store->broken = true;
  pump_store_rollback(store);
  return PUMP_ESTORE;
}

/* ---- Streams ------------------------------------------------------------------------------ */

bool pump_store_is_metastream(pump_bytes name, pump_bytes *of) {
  if (!pump_bytes_starts(name, "$$")) return false;
  *of = (pump_bytes){name.data + 2, name.size - 2};
  return true;
}

static int64_t limit_of(sqlite3_stmt *row, int column) {
  return sqlite3_column_type(row, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, column);
}

static int find_row(pump_store *store, pump_bytes name, pump_store_stream *stream) {
  *stream = (pump_store_stream){0, -1, -1, -1, -1};
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_STREAM);
  if (!row) return PUMP_ESTORE;
  pump_store_bind(row, 1, name);
  int code = sqlite3_step(row);
  if (code == SQLITE_ROW) {
    *stream = (pump_store_stream){
        .id = sqlite3_column_int64(row, 0),
        .last = sqlite3_column_int64(row, 1),
        .max_count = limit_of(row, 2),
        .max_age = limit_of(row, 3),
        .truncate_before = limit_of(row, 4),
    };
  }
  int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(row);
  return result;
}

int pump_store_find(pump_store *store, pump_bytes name, pump_store_stream *stream) {
  int code = find_row(store, name, stream);
  pump_bytes of;
  if (code != 0 || !pump_store_is_metastream(name, &of)) return code;
  pump_store_stream original;
  code = find_row(store, of, &original);
  if (original.last == PUMP_STORE_TOMBSTONE) stream->last = PUMP_STORE_TOMBSTONE;
  /* Metadata of metadata are none: a server keeps the newest, and nothing hides it. */
  stream->max_count = 1;
  stream->max_age = stream->truncate_before = -1;
  return code;
}

int64_t pump_store_first_number(const pump_store_stream *stream) {
  int64_t first = stream->truncate_before > 0 ? stream->truncate_before : 0;
  if (stream->max_count > 0 && stream->last - stream->max_count + 1 > first)
    first = stream->last - stream->max_count + 1;
  return first;
}

int64_t pump_store_last_number(pump_store *store, pump_bytes stream) {
  pump_store_stream row;
  return pump_store_find(store, stream, &row) == 0 ? row.last : -1;
}

bool pump_store_has_stream(pump_store *store, pump_bytes stream) {
  return pump_store_last_number(store, stream) >= 0;
}

/* The first parameter is bound already. */
static int call_roles(pump_store *store, sqlite3_stmt *rows, pump_store_right right,
                      pump_store_role_cb role, void *ud, bool *is_set) {
  static const char *const paths[] = {"$.\"$r\"", "$.\"$w\"", "$.\"$d\"", "$.\"$mr\"", "$.\"$mw\""};
  *is_set = false;
  sqlite3_bind_text(rows, 2, paths[right], -1, SQLITE_STATIC);
  int code;
  while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
    *is_set = sqlite3_column_int(rows, 0) == 1;
    if (*is_set && sqlite3_column_type(rows, 1) == SQLITE_TEXT)
      role(ud, pump_store_column(rows, 1));
  }
  int result = code == SQLITE_DONE ? 0 : pump_store_fail(store);
  sqlite3_reset(rows);
  return result;
}

int pump_store_roles(pump_store *store, pump_bytes stream, pump_store_right right,
                     pump_store_role_cb role, void *ud, bool *is_set) {
  sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_ROLES);
  if (!rows) return PUMP_ESTORE;
  pump_store_bind(rows, 1, stream);
  return call_roles(store, rows, right, role, ud, is_set);
}

int pump_store_default_roles(pump_store *store, bool is_system, pump_store_right right,
                             pump_store_role_cb role, void *ud, bool *is_set) {
  *is_set = false;
  if (!store->has_defaults) return 0;
  sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_DEFAULT_ROLES);
  if (!rows) return PUMP_ESTORE;
  sqlite3_bind_int(rows, 1, is_system);
  return call_roles(store, rows, right, role, ud, is_set);
}

int64_t pump_store_last_position(const pump_store *store) {
  return store->last_position;
}

int64_t pump_store_end_position(const pump_store *store) {
  return store->end_position;
}

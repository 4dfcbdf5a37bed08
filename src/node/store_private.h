/* What the files of the store share: its statements and the row of a stream. */
#ifndef PUMP_NODE_STORE_PRIVATE_H
#define PUMP_NODE_STORE_PRIVATE_H

#include <sqlite3.h>
#include "node/recent.h"
#include "node/store.h"

#define EVENT_COLUMNS "e.position, e.number, e.id, e.type, e.data, e.metadata, e.created, e.is_json"

/* Every statement, prepared at its first use and kept. */
#define PUMP_STORE_STATEMENT_MAP(XX)                                                               \
  XX(BEGIN, "BEGIN IMMEDIATE")                                                                     \
  XX(COMMIT, "COMMIT")                                                                             \
  XX(ROLLBACK, "ROLLBACK")                                                                         \
  XX(MARK, "SAVEPOINT one")                                                                        \
  XX(KEEP, "RELEASE one")                                                                          \
  XX(UNDO, "ROLLBACK TO one")                                                                      \
  XX(STREAM, "SELECT id, last, max_count, max_age, truncate_before FROM streams WHERE name = ?1")  \
  XX(ADD_STREAM, "INSERT INTO streams (name, last) VALUES (?1, ?2)")                               \
  XX(MOVE_STREAM, "UPDATE streams SET last = ?2 WHERE id = ?1")                                    \
  XX(LIMIT_STREAM, "UPDATE streams SET max_count = ?2, max_age = ?3, truncate_before = ?4, "       \
                   "acl = CASE json_type(?5, '$.\"$acl\"') WHEN 'object' "                         \
                   "THEN json_extract(?5, '$.\"$acl\"') END WHERE id = ?1")                        \
  XX(ROLES, "SELECT json_type(s.acl, ?2) IS NOT NULL, r.value FROM streams s "                     \
            "LEFT JOIN json_each(s.acl, ?2) r WHERE s.name = ?1 AND s.acl IS NOT NULL")            \
  XX(DEFAULT_ROLES, "SELECT json_type(d.acl, ?2) IS NOT NULL, r.value FROM default_acls d "        \
                    "LEFT JOIN json_each(d.acl, ?2) r WHERE d.is_system = ?1")                     \
  XX(DROP_DEFAULTS, "DELETE FROM default_acls")                                                    \
  XX(ADD_DEFAULTS, "INSERT INTO default_acls SELECT 0, json_extract(?1, '$.\"$userStreamAcl\"') "  \
                   "WHERE json_type(?1, '$.\"$userStreamAcl\"') = 'object' UNION ALL "             \
                   "SELECT 1, json_extract(?1, '$.\"$systemStreamAcl\"') "                         \
                   "WHERE json_type(?1, '$.\"$systemStreamAcl\"') = 'object'")                     \
  XX(ADD_EVENT,                                                                                    \
     "INSERT INTO events (position, stream, number, id, type, data, metadata, created, "           \
     "is_json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                       \
  XX(EVENT_ID, "SELECT id FROM events WHERE stream = ?1 AND number = ?2")                          \
  XX(EVENT, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.stream = ?1 AND e.number = ?2")        \
  XX(FORWARD, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.stream = ?1 "                        \
              "AND e.number BETWEEN ?2 AND ?3 ORDER BY e.number")                                  \
  XX(BACKWARD, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.stream = ?1 "                       \
               "AND e.number BETWEEN ?2 AND ?3 ORDER BY e.number DESC")                            \
  XX(ALL_FORWARD, "SELECT " EVENT_COLUMNS ", s.name FROM events e CROSS JOIN streams s "           \
                  "ON s.id = e.stream WHERE e.position >= ?1 ORDER BY e.position LIMIT ?2")        \
  XX(ALL_BACKWARD, "SELECT " EVENT_COLUMNS ", s.name FROM events e CROSS JOIN streams s "          \
                   "ON s.id = e.stream WHERE e.position < ?1 ORDER BY e.position DESC LIMIT ?2")   \
  XX(LAST_DATA, "SELECT e.data FROM streams s JOIN events e ON e.stream = s.id "                   \
                "AND e.number = s.last WHERE s.name = ?1")                                         \
  XX(IS_JSON, "SELECT json_valid(?1) AND json_type(?1) = 'object'")                                \
  XX(SET_TRUNCATE, "SELECT json_set(?1, '$.\"$tb\"', ?2)")                                         \
  XX(NEWEST_IDS,                                                                                   \
     "SELECT id, stream, number FROM (SELECT position, id, stream, number FROM events "            \
     "ORDER BY position DESC LIMIT ?1) ORDER BY position")                                         \
  XX(NEXT_STREAM, "SELECT id, name FROM streams WHERE id > ?1 ORDER BY id LIMIT 1")                \
  XX(FREE_PAGES, "PRAGMA freelist_count")                                                          \
  XX(PAGES, "PRAGMA page_count")                                                                   \
  XX(PAGE_SIZE, "PRAGMA page_size")                                                                \
  XX(FRONT, "SELECT position, number, created FROM events WHERE stream = ?1 "                      \
            "ORDER BY number LIMIT 1")                                                             \
  XX(AGE_FROM, "SELECT number, created FROM events WHERE stream = ?1 AND number >= ?2 "            \
               "ORDER BY number LIMIT 1")                                                          \
  XX(DROP_EVENT, "DELETE FROM events WHERE position = ?1")                                         \
  XX(OLD_TRANSACTION, "SELECT id FROM transactions WHERE id = (SELECT min(id) FROM transactions) " \
                      "AND started < ?1 AND "                                                      \
                      "max(id, ifnull(committed, 0)) < (SELECT max(position) FROM events)")        \
  XX(DROP_SOME_KEPT, "DELETE FROM transaction_events WHERE place IN (SELECT place FROM "           \
                     "transaction_events WHERE transaction_id = ?1 LIMIT ?2)")                     \
  XX(DROP_TRANSACTION, "DELETE FROM transactions WHERE id = ?1")                                   \
  XX(POSITION, "SELECT position FROM events WHERE stream = ?1 AND number = ?2")                    \
  XX(ADD_TRANSACTION, "INSERT INTO transactions (id, stream, expected, started) "                  \
                      "VALUES (?1, ?2, ?3, ?4)")                                                   \
  XX(TRANSACTION, "SELECT stream, expected, first, last, position FROM transactions "              \
                  "WHERE id = ?1")                                                                 \
  XX(END_TRANSACTION, "UPDATE transactions SET first = ?2, last = ?3, position = ?4, "             \
                      "committed = ?5 WHERE id = ?1")                                              \
  XX(KEEP_EVENT, "INSERT INTO transaction_events (transaction_id, id, type, data, metadata, "      \
                 "is_json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                       \
  XX(KEPT_IDS, "SELECT id FROM transaction_events WHERE transaction_id = ?1 ORDER BY place")       \
  XX(KEPT_EVENTS, "SELECT id, type, data, metadata, is_json FROM transaction_events "              \
                  "WHERE transaction_id = ?1 ORDER BY place")                                      \
  XX(DROP_KEPT, "DELETE FROM transaction_events WHERE transaction_id = ?1")                        \
  XX(END_POSITION, "WITH e(last) AS (SELECT max(position) FROM events), t(id, committed) AS "      \
                   "(SELECT max(id), max(committed) FROM transactions) SELECT "                    \
                   "max(ifnull(e.last, -1), ifnull(t.id, -1), ifnull(t.committed, -1)) + 1, "      \
                   "max(ifnull(e.last, 0), ifnull(t.committed, 0)), "                              \
                   "EXISTS (SELECT 1 FROM default_acls) FROM e, t")

enum {
#define XX(name, sql) STATEMENT_##name,
  PUMP_STORE_STATEMENT_MAP(XX)
#undef XX
      STATEMENT_COUNT
};

struct pump_store {
  sqlite3 *db;
  sqlite3_stmt *statements[STATEMENT_COUNT];
  pump_recent recent; /* ids of what is committed, */
  pump_recent fresh;  /* and of what the open transaction has written */
  int64_t end_position;
  int64_t last_position;
  int64_t end_before; /* both as they were when the transaction began */
  int64_t last_before;
  bool has_defaults; /* $settings may say who may do what */
  bool passes_aged;
  bool broken; /* SQLite gave up the transaction that writes gathered in */
  char error[256];
};

/* A stream as the store knows it. id 0: it was never heard of. */
typedef struct pump_store_stream {
  int64_t id;
  int64_t last;            /* -1: no events */
  int64_t max_count;       /* these three from its metadata, -1: not set */
  int64_t max_age;         /* seconds */
  int64_t truncate_before; /* INT64_MAX: soft-deleted */
} pump_store_stream;

/* Where to go back to when a write fails halfway. */
typedef struct pump_store_mark {
  int64_t end;
  int64_t last;
} pump_store_mark;

/* Opens the transaction that writes gather in, if it is not open yet. */
int pump_store_begin(pump_store *store);
int pump_store_set_mark(pump_store *store, pump_store_mark *mark);
/* Keeps what was written since the mark, or with a code that is not 0 nothing of it. */
int pump_store_finish(pump_store *store, int code, const pump_store_mark *mark);

/* Gives the next event, whose views hold until it is called again. */
typedef int (*pump_store_source)(void *ud, pump_new_event *event);
/* An append of events that a source gives; of `ids` only the ids count. Their ids are not
 * remembered yet: whoever calls does that when all is well. */
int pump_store_append_from(pump_store *store, pump_bytes stream, int64_t expected,
                           const pump_new_event *ids, size_t count, pump_store_source source,
                           void *ud, int64_t now, pump_store_written *out);
void pump_store_remember(pump_store *store, pump_bytes stream, const pump_new_event *ids,
                         size_t count, int64_t first);

/* Notes that there is no memory. Returns PUMP_ESTORE. */
int pump_store_no_memory(pump_store *store);
/* Remembers what SQLite says. Returns PUMP_ESTORE. */
int pump_store_fail(pump_store *store);
/* Ready to bind and step, or NULL after pump_store_fail. */
sqlite3_stmt *pump_store_statement(pump_store *store, int which);
/* Steps a statement that gives no rows and resets it. NULL is passed on as a failure. */
int pump_store_run(pump_store *store, sqlite3_stmt *statement);
/* How a view is bound: as bytes, never NULL. */
void pump_store_bind(sqlite3_stmt *statement, int index, pump_bytes bytes);
pump_bytes pump_store_column(sqlite3_stmt *statement, int index);

/* The row of a stream; a metastream has the fate of its stream and keeps one event. */
int pump_store_find(pump_store *store, pump_bytes name, pump_store_stream *stream);
/* The first number that the stream's metadata lets through, age aside. */
int64_t pump_store_first_number(const pump_store_stream *stream);
/* What was created before this is hidden by the stream's age. */
int64_t pump_store_oldest(const pump_store_stream *stream, int64_t now);
#endif

/* Transactions: events that are written bit by bit, over whichever connection, and appended all
 * at once. Until then they stand in a table of their own, and afterwards it is known what became
 * of them, so that a commit that is repeated gets the same answer. */
#include "node/store_private.h"

#include <stdlib.h>
#include <string.h>

/* Its id is a place in $all of its own, as on servers. */
int pump_store_start_transaction(pump_store *store, pump_bytes stream, int64_t expected,
                                 int64_t now, int64_t *id) {
  int code = pump_store_begin(store);
  if (code != 0) return code;
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_ADD_TRANSACTION);
  if (!row) return PUMP_ESTORE;
  *id = store->end_position;
  sqlite3_bind_int64(row, 1, *id);
  pump_store_bind(row, 2, stream);
  sqlite3_bind_int64(row, 3, expected);
  sqlite3_bind_int64(row, 4, now);
  code = pump_store_run(store, row);
  if (code == 0) store->end_position++;
  return code;
}

int pump_store_find_transaction(pump_store *store, int64_t id,
                                pump_store_transaction *transaction) {
  *transaction = (pump_store_transaction){0};
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_TRANSACTION);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, id);
  int step = sqlite3_step(row);
  int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : pump_store_fail(store);
  if (step == SQLITE_ROW) {
    pump_bytes stream = pump_store_column(row, 0);
    transaction->stream = malloc(stream.size + 1);
    transaction->size = stream.size;
    transaction->expected = sqlite3_column_int64(row, 1);
    transaction->first = sqlite3_column_int64(row, 2);
    transaction->last = sqlite3_column_int64(row, 3);
    transaction->position = sqlite3_column_int64(row, 4);
    transaction->is_committed = sqlite3_column_type(row, 4) != SQLITE_NULL;
    if (transaction->stream)
      memcpy(transaction->stream, stream.data, stream.size);
    else
      code = pump_store_no_memory(store);
  }
  sqlite3_reset(row);
  return code;
}

static int keep_event(pump_store *store, int64_t id, const pump_new_event *event) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_KEEP_EVENT);
  if (!row) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, id);
  sqlite3_bind_blob(row, 2, event->id.bytes, sizeof event->id.bytes, SQLITE_STATIC);
  pump_store_bind(row, 3, event->type);
  pump_store_bind(row, 4, event->data);
  pump_store_bind(row, 5, event->metadata);
  sqlite3_bind_int64(row, 6, event->is_json);
  return pump_store_run(store, row);
}

int pump_store_extend_transaction(pump_store *store, int64_t id, const pump_new_event *events,
                                  size_t count) {
  pump_store_mark mark;
  int code = pump_store_begin(store);
  if (code == 0) code = pump_store_set_mark(store, &mark);
  if (code != 0) return code;
  for (size_t i = 0; code == 0 && i < count; i++)
    code = keep_event(store, id, &events[i]);
  return pump_store_finish(store, code, &mark);
}

/* ---- Committing --------------------------------------------------------------------------- */

/* The events of a transaction with nothing but their ids, to be freed. */
static int list_ids(pump_store *store, int64_t id, pump_new_event **events, size_t *count) {
  sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_KEPT_IDS);
  if (!rows) return PUMP_ESTORE;
  sqlite3_bind_int64(rows, 1, id);
  size_t capacity = 0;
  int step, code = 0;
  *events = NULL;
  *count = 0;
  while (code == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW) {
    if (*count == capacity) {
      capacity = capacity ? 2 * capacity : 64;
      pump_new_event *more = realloc(*events, capacity * sizeof *more);
      if (!more) {
        code = pump_store_no_memory(store);
        break;
      }
      *events = more;
    }
    pump_bytes bytes = pump_store_column(rows, 0);
    pump_new_event *event = &(*events)[(*count)++];
    *event = (pump_new_event){0};
    if (bytes.size == sizeof event->id.bytes) memcpy(event->id.bytes, bytes.data, bytes.size);
  }
  if (code == 0 && step != SQLITE_DONE) code = pump_store_fail(store);
  sqlite3_reset(rows);
  return code;
}

static int next_kept(void *ud, pump_new_event *event) {
  pump_store *store = ud;
  sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_KEPT_EVENTS);
  if (!rows || sqlite3_step(rows) != SQLITE_ROW) return pump_store_fail(store);
  *event = (pump_new_event){.type = pump_store_column(rows, 1),
                            .data = pump_store_column(rows, 2),
                            .metadata = pump_store_column(rows, 3),
                            .is_json = sqlite3_column_int(rows, 4) != 0};
  pump_bytes id = pump_store_column(rows, 0);
  if (id.size == sizeof event->id.bytes) memcpy(event->id.bytes, id.data, id.size);
  return 0;
}

/* What it became is kept, its events are not. The commit has a place in $all of its own. */
static int close_transaction(pump_store *store, int64_t id, pump_store_written *written) {
  sqlite3_stmt *row = pump_store_statement(store, STATEMENT_END_TRANSACTION);
  sqlite3_stmt *events = pump_store_statement(store, STATEMENT_DROP_KEPT);
  if (!row || !events) return PUMP_ESTORE;
  sqlite3_bind_int64(row, 1, id);
  sqlite3_bind_int64(row, 2, written->first);
  sqlite3_bind_int64(row, 3, written->last);
  sqlite3_bind_int64(row, 4, written->position);
  if (written->is_new) written->position = store->last_position = store->end_position++;
  sqlite3_bind_int64(row, 5, written->position);
  sqlite3_bind_int64(events, 1, id);
  int code = pump_store_run(store, row);
  return code == 0 ? pump_store_run(store, events) : code;
}

static int commit(pump_store *store, int64_t id, const pump_store_transaction *transaction,
                  int64_t now, pump_store_written *out) {
  pump_store_mark mark;
  pump_new_event *ids = NULL;
  size_t count;
  pump_bytes stream = {transaction->stream, transaction->size};
  int code = pump_store_begin(store);
  if (code == 0) code = list_ids(store, id, &ids, &count);
  if (code == 0) code = pump_store_set_mark(store, &mark);
  if (code == 0) {
    sqlite3_stmt *rows = pump_store_statement(store, STATEMENT_KEPT_EVENTS);
    if (rows) sqlite3_bind_int64(rows, 1, id);
    code = pump_store_append_from(store, stream, transaction->expected, ids, count, next_kept,
                                  store, now, out);
    if (rows) sqlite3_reset(rows);
    if (code == 0 && out->result == PUMP_STORE_SUCCESS) code = close_transaction(store, id, out);
    code = pump_store_finish(store, code, &mark);
    if (code == 0 && out->is_new) pump_store_remember(store, stream, ids, count, out->first);
  }
  free(ids);
  return code;
}

int pump_store_commit_transaction(pump_store *store, int64_t id,
                                  const pump_store_transaction *transaction, int64_t now,
                                  pump_store_written *out) {
  /* A commit of nothing leaves nothing by which it could be recognised. */
  bool was_empty = transaction->last < transaction->first;
  if (!transaction->is_committed || was_empty) return commit(store, id, transaction, now, out);
  *out = (pump_store_written){.first = transaction->first,
                              .last = transaction->last,
                              .position = transaction->position,
                              .version = -1};
  return 0;
}

/* Where the embedded node keeps its events: streams and $all on SQLite, in a file or in memory.
 *
 * This is storage logic and knows no protocol: it takes and gives the plain structs of pump.h and
 * results as enums, so that every server in front of it asks the same questions. Time is an
 * argument (microseconds since 1970). Functions return 0 or PUMP_ESTORE, after which
 * pump_store_error says what SQLite had against it; what an expected version or a missing stream
 * decides is no error but a result.
 *
 * Writes gather in one transaction until pump_store_commit, which returns when they are on disk.
 * Each stands for itself: one that fails leaves nothing behind and harms no other, unless SQLite
 * gave up the whole transaction; then commit fails and none of them has happened. Reads see what
 * was written before, committed or not: a server commits before it reads for somebody. */
#ifndef PUMP_NODE_STORE_H
#define PUMP_NODE_STORE_H

#include <pump.h>

typedef struct pump_store pump_store;

/* The number of the last event of a stream that was deleted for good. */
#define PUMP_STORE_TOMBSTONE INT64_MAX

typedef enum pump_store_result {
  PUMP_STORE_SUCCESS = 0,
  PUMP_STORE_NO_STREAM,
  PUMP_STORE_DELETED,
  PUMP_STORE_NO_EVENT,
  PUMP_STORE_WRONG_VERSION
} pump_store_result;

/* file NULL: in memory. sync_normal: commit without waiting for the disk. On failure *store is
 * NULL and error holds one line that names the file. */
int pump_store_open(pump_store **store, const char *file, bool sync_normal, char *error,
                    size_t error_size);
/* What was not committed is gone. NULL is fine. */
void pump_store_close(pump_store *store);
/* One line about the last failure, in SQLite's words; "" when there was none. */
const char *pump_store_error(const pump_store *store);

/* What became of a write. */
typedef struct pump_store_written {
  pump_store_result result;
  int64_t first;    /* number of the first event, where it succeeded */
  int64_t last;     /* number of the last event, or of a tombstone */
  int64_t position; /* of the last event in $all */
  int64_t version;  /* the stream's last event number, where the expected version was wrong */
  bool is_new;      /* it was written now, and not recognised as written before */
} pump_store_written;

/* Appends, or recognises that these very events were appended before. */
int pump_store_append(pump_store *store, pump_bytes stream, int64_t expected,
                      const pump_new_event *events, size_t count, int64_t now,
                      pump_store_written *out);
/* hard: for ever. Else the events are hidden and the stream goes on with the next append. */
int pump_store_delete(pump_store *store, pump_bytes stream, int64_t expected, bool hard,
                      int64_t now, pump_store_written *out);
/* A write that is made bit by bit. */
typedef struct pump_store_transaction {
  char *stream; /* to be freed; NULL: there is no such transaction */
  size_t size;
  int64_t expected;
  bool is_committed; /* as what follows says */
  int64_t first, last;
  int64_t position; /* of the last event */
} pump_store_transaction;
int pump_store_start_transaction(pump_store *store, pump_bytes stream, int64_t expected,
                                 int64_t now, int64_t *id);
int pump_store_find_transaction(pump_store *store, int64_t id, pump_store_transaction *transaction);
int pump_store_extend_transaction(pump_store *store, int64_t id, const pump_new_event *events,
                                  size_t count);
/* Only now the expected version counts. One that was committed says what it said then. */
int pump_store_commit_transaction(pump_store *store, int64_t id,
                                  const pump_store_transaction *transaction, int64_t now,
                                  pump_store_written *out);
/* A step of a scavenge: the streams behind *stream, at most so many streams and events; *stream is
 * then how far it came, from 0. Events from the position needed on stay: somebody still reads
 * there. Like a write it is to be committed. */
int pump_store_scavenge(pump_store *store, int64_t *stream, int budget, int64_t needed, int64_t now,
                        bool *is_done);
/* The same for one stream, whose old events take too much to wait for that. */
int pump_store_trim(pump_store *store, pump_bytes stream, int64_t needed, int64_t now);
/* The bytes that it takes, less those that a scavenge has freed. */
int64_t pump_store_used(pump_store *store);
/* Hands some of the space that a scavenge has freed back to the file system. */
int pump_store_shrink(pump_store *store, bool *is_done);
/* An id for an event that the node itself writes. */
void pump_store_make_id(pump_guid *id);
/* Ends the transaction that writes opened, if there is one. */
int pump_store_commit(pump_store *store);
void pump_store_rollback(pump_store *store);

/* Takes an event, which is borrowed until it returns. False: it did not want this one, and the
 * page ends before it. */
typedef bool (*pump_store_sink)(void *ud, const pump_event *event);

typedef struct pump_store_page {
  pump_store_result result;
  int64_t next; /* streams: event number where the next page starts; $all: position */
  int64_t last; /* the stream's last event number, -1: none */
  bool is_end;
} pump_store_page;

/* A page of a stream that goes forward, and in which all is hidden by age, leads on to the first
 * event that is not, as newer servers do it, instead of to the next page. */
void pump_store_pass_aged(pump_store *store);

/* read->from and read->position (commit counts) as pump.h says; both ends are checked by whoever
 * calls: max_count > 0, from >= 0 but for PUMP_END backward, commit >= 0. */
int pump_store_read_stream(pump_store *store, pump_bytes stream, const pump_read *read, int64_t now,
                           pump_store_sink sink, void *ud, pump_store_page *page);
int pump_store_read_event(pump_store *store, pump_bytes stream, int64_t number, bool resolve_links,
                          int64_t now, pump_store_sink sink, void *ud, pump_store_result *result);
int pump_store_read_all(pump_store *store, const pump_read *read, int64_t now, pump_store_sink sink,
                        void *ud, pump_store_page *page);

/* Whether the data of a "$>" say where it leads: "3@stream". */
bool pump_store_is_link(pump_bytes data);
/* Whether "$$name" it is, where the metadata of "name" stands; *of is that name. */
bool pump_store_is_metastream(pump_bytes name, pump_bytes *of);

/* Whether a stream has (or had) events; deleted for good counts. */
bool pump_store_has_stream(pump_store *store, pump_bytes stream);
/* Whether it has metadata of its own. */
bool pump_store_has_metadata(pump_store *store, pump_bytes stream);
/* The number of its last event, hidden or not; -1: none. */
int64_t pump_store_last_number(pump_store *store, pump_bytes stream);

/* Who may do what with a stream, as the $acl of its metadata says: calls role with each name that
 * is listed for this right. is_set false: it says nothing about that. */
typedef enum pump_store_right {
  PUMP_STORE_READ,
  PUMP_STORE_WRITE,
  PUMP_STORE_DELETE,
  PUMP_STORE_READ_METADATA,
  PUMP_STORE_WRITE_METADATA
} pump_store_right;
typedef void (*pump_store_role_cb)(void *ud, pump_bytes name);
int pump_store_roles(pump_store *store, pump_bytes stream, pump_store_right right,
                     pump_store_role_cb role, void *ud, bool *is_set);

/* The same of what $settings says of all streams whose own metadata say nothing. */
int pump_store_default_roles(pump_store *store, bool is_system, pump_store_right right,
                             pump_store_role_cb role, void *ud, bool *is_set);

/* The position of the newest event, 0 where there is none, and the one that the next will get. */
int64_t pump_store_last_position(const pump_store *store);
int64_t pump_store_end_position(const pump_store *store);

#endif

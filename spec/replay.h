/* Comparing a node's answer with a recorded one, field by field: times count as equal, positions
 * by their order, ids of events that the recording does not show being written as well. */
#ifndef SPEC_REPLAY_H
#define SPEC_REPLAY_H

#include "node_child.h"
#include "recorded.h"
#include "wire/protobuf.h"

typedef struct replay {
  bool (*is_id_unknown)(pump_bytes stream); /* NULL: all ids are known */
  char why[512];                            /* the first difference */
  struct {
    int64_t theirs, ours;
  } positions[1000];
  size_t position_count;
  struct {
    uint8_t theirs[16], ours[16];
  } ids[200]; /* of events that were not recorded being written */
  size_t id_count;
} replay;

typedef enum rule { EXACT, POSITION, TIME, ID, DATA, MESSAGE } rule;
typedef enum message {
  PLAIN,
  WRITTEN,
  DELETED,
  EVENT_READ,
  PAGE,
  ALL_PAGE,
  IN_TRANSACTION,
  COMMITTED,
  CONFIRMED,
  PUSHED,
  PUSHED_TO_GROUP,
  RESOLVED,
  RECORD
} message;

static const struct {
  message in;
  uint32_t field;
  rule rule;
  message message;
} rules[] = {
    {WRITTEN, 5, POSITION, PLAIN},
    {WRITTEN, 6, POSITION, PLAIN},
    {DELETED, 3, POSITION, PLAIN},
    {DELETED, 4, POSITION, PLAIN},
    {EVENT_READ, 2, MESSAGE, RESOLVED},
    {PAGE, 1, MESSAGE, RESOLVED},
    {PAGE, 6, POSITION, PLAIN},
    {ALL_PAGE, 1, POSITION, PLAIN},
    {ALL_PAGE, 2, POSITION, PLAIN},
    {ALL_PAGE, 3, MESSAGE, RESOLVED},
    {ALL_PAGE, 4, POSITION, PLAIN},
    {ALL_PAGE, 5, POSITION, PLAIN},
    {IN_TRANSACTION, 1, POSITION, PLAIN},
    {COMMITTED, 1, POSITION, PLAIN},
    {COMMITTED, 6, POSITION, PLAIN},
    {COMMITTED, 7, POSITION, PLAIN},
    {CONFIRMED, 1, POSITION, PLAIN},
    {PUSHED, 1, MESSAGE, RESOLVED},
    {PUSHED_TO_GROUP, 1, MESSAGE, RESOLVED},
    {RESOLVED, 1, MESSAGE, RECORD},
    {RESOLVED, 2, MESSAGE, RECORD},
    {RESOLVED, 3, POSITION, PLAIN},
    {RESOLVED, 4, POSITION, PLAIN},
    {RECORD, 3, ID, PLAIN},
    {RECORD, 7, DATA, PLAIN},
    {RECORD, 8, DATA, PLAIN},
    {RECORD, 9, TIME, PLAIN},
    {RECORD, 10, TIME, PLAIN},
};

static inline message message_of(uint8_t command) {
  switch (command) {
  case PUMP_TCP_WRITE_EVENTS_COMPLETED: return WRITTEN;
  case PUMP_TCP_DELETE_STREAM_COMPLETED: return DELETED;
  case PUMP_TCP_READ_EVENT_COMPLETED: return EVENT_READ;
  case PUMP_TCP_READ_STREAM_FORWARD_COMPLETED:
  case PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED: return PAGE;
  case PUMP_TCP_READ_ALL_FORWARD_COMPLETED:
  case PUMP_TCP_READ_ALL_BACKWARD_COMPLETED: return ALL_PAGE;
  case PUMP_TCP_TRANSACTION_START_COMPLETED:
  case PUMP_TCP_TRANSACTION_WRITE_COMPLETED: return IN_TRANSACTION;
  case PUMP_TCP_TRANSACTION_COMMIT_COMPLETED: return COMMITTED;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION:
  case PUMP_TCP_SUBSCRIPTION_CONFIRMATION: return CONFIRMED;
  case PUMP_TCP_STREAM_EVENT_APPEARED: return PUSHED;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED: return PUSHED_TO_GROUP;
  default: return PLAIN;
  }
}

/* Whatever two positions are to each other there, they are here; 0 and less are as they are. */
static inline bool same_position(replay *at, int64_t theirs, int64_t ours) {
  if (theirs <= 0) return ours == theirs;
  for (size_t i = 0; i < at->position_count; i++) {
    int64_t a = at->positions[i].theirs, b = at->positions[i].ours;
    if ((a < theirs) != (b < ours) || (a == theirs) != (b == ours)) {
      snprintf(at->why, sizeof at->why, "position %lld is %lld here, though %lld is %lld",
               (long long)theirs, (long long)ours, (long long)a, (long long)b);
      return false;
    }
  }
  if (at->position_count < sizeof at->positions / sizeof *at->positions) {
    at->positions[at->position_count].theirs = theirs;
    at->positions[at->position_count++].ours = ours;
  }
  return ours >= 0;
}

/* A server makes the ids of its own events itself. */
static inline bool is_id_unknown(const replay *at, pump_bytes record) {
  pump_pb_cursor cursor = pump_pb_start(record);
  pump_pb_field field;
  if (!pump_pb_next(&cursor, &field) || field.number != 1) return false;
  return pump_bytes_starts(field.bytes, "$user") || pump_bytes_starts(field.bytes, "$$$") ||
         (at->is_id_unknown && at->is_id_unknown(field.bytes));
}

/* What was an unknown id before has to be the same now. */
static inline bool same_unknown_id(replay *at, pump_bytes theirs, pump_bytes ours) {
  if (theirs.size != 16) return false;
  for (size_t i = 0; i < at->id_count; i++) {
    if (memcmp(at->ids[i].theirs, theirs.data, 16) == 0)
      return memcmp(at->ids[i].ours, ours.data, 16) == 0;
  }
  if (at->id_count < sizeof at->ids / sizeof *at->ids) {
    memcpy(at->ids[at->id_count].theirs, theirs.data, 16);
    memcpy(at->ids[at->id_count++].ours, ours.data, 16);
  }
  return true;
}

static inline void skip_text(pump_bytes *text) {
  while (text->size > 0 && *text->data != '"') {
    text->data++;
    text->size--;
  }
}

/* The salt of a password is random, and its hash with it; times are times. */
static inline bool same_data(pump_bytes theirs, pump_bytes ours) {
  static const char *const own[] = {"\"salt\": \"", "\"hash\": \"", "\"added\": \""};
  while (theirs.size > 0 && ours.size > 0) {
    size_t size = 1;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
      if (pump_bytes_starts(theirs, own[i])) size = strlen(own[i]);
    }
    if (ours.size < size || memcmp(theirs.data, ours.data, size) != 0) return false;
    theirs = (pump_bytes){theirs.data + size, theirs.size - size};
    ours = (pump_bytes){ours.data + size, ours.size - size};
    if (size == 1) continue;
    skip_text(&theirs);
    skip_text(&ours);
  }
  return theirs.size == ours.size;
}

static inline bool same_message(replay *at, message in, pump_bytes theirs, pump_bytes ours);

static inline bool same_field(replay *at, message in, pump_bytes record,
                              const pump_pb_field *theirs, const pump_pb_field *ours) {
  rule how = EXACT;
  message sub = PLAIN;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (rules[i].in != in || rules[i].field != theirs->number) continue;
    how = rules[i].rule;
    sub = rules[i].message;
  }
  switch (how) {
  case POSITION: return same_position(at, (int64_t)theirs->value, (int64_t)ours->value);
  case TIME: return ours->value != 0;
  case ID:
    if (ours->bytes.size != 16) return false;
    return is_id_unknown(at, record) ? same_unknown_id(at, theirs->bytes, ours->bytes)
                                     : pump_bytes_equal(theirs->bytes, ours->bytes);
  case DATA: return same_data(theirs->bytes, ours->bytes);
  case MESSAGE: return same_message(at, sub, theirs->bytes, ours->bytes);
  default: return theirs->value == ours->value && pump_bytes_equal(theirs->bytes, ours->bytes);
  }
}

static inline bool same_message(replay *at, message in, pump_bytes theirs, pump_bytes ours) {
  if (in == PLAIN) {
    if (pump_bytes_equal(theirs, ours)) return true;
    snprintf(at->why, sizeof at->why, "'%.*s' there, '%.*s' here", (int)theirs.size,
             theirs.size ? theirs.data : "", (int)ours.size, ours.size ? ours.data : "");
    return false;
  }
  pump_pb_cursor their_cursor = pump_pb_start(theirs), our_cursor = pump_pb_start(ours);
  for (;;) {
    pump_pb_field a = {0}, b = {0};
    bool more = pump_pb_next(&their_cursor, &a);
    bool more_here = pump_pb_next(&our_cursor, &b);
    if (!more && !more_here) return !our_cursor.malformed;
    if (more == more_here && a.number == b.number && a.type == b.type) {
      if (same_field(at, in, theirs, &a, &b)) continue;
    }
    if (!at->why[0])
      snprintf(at->why, sizeof at->why,
               "message %d: field %u (%lld, '%.*s') there, field %u (%lld, '%.*s') here", in,
               a.number, (long long)a.value, (int)(a.bytes.size > 60 ? 60 : a.bytes.size),
               a.bytes.size ? a.bytes.data : "", b.number, (long long)b.value,
               (int)(b.bytes.size > 60 ? 60 : b.bytes.size), b.bytes.size ? b.bytes.data : "");
    return false;
  }
}

#endif

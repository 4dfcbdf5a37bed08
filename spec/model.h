/* What must be true of a node's streams, told without a store: a model for model_test.c. It says
 * what becomes of each request and what can be read after it. */
#ifndef SPEC_MODEL_H
#define SPEC_MODEL_H

#include <pump.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eventstore.pb-c.h"

#define MODEL_HIDDEN INT64_MAX /* truncate_before of a stream that was deleted softly */

typedef enum model_user { NOBODY, ADMIN, OPS, WRONG_PASSWORD } model_user;

typedef struct model_event {
  uint64_t id; /* says all of its contents */
  int64_t position;
  bool is_seen;
} model_event;

typedef struct model_metadata {
  int64_t max_count; /* -1: not set, like the next */
  int64_t truncate_before;
  bool ops_read; /* nobody else may, but admins */
  bool ops_write;
  bool is_void; /* a value is bad: none counts */
} model_metadata;

typedef struct model_stream {
  char name[48];
  model_event *events; /* number 0 and on, whether they can be read or not */
  int64_t count;
  int64_t capacity;
  int64_t meta_count; /* events in its metastream */
  model_metadata metadata;
  int64_t floor; /* what is below was hidden at some time, and may be swept away */
  bool is_gone;  /* deleted for ever */
} model_stream;

typedef struct model_written {
  PumpTcp__OperationResult result;
  int64_t first;
  int64_t last;
  int64_t version;
  bool is_new;
} model_written;

static const model_metadata model_no_metadata = {.max_count = -1, .truncate_before = -1};

#define RESULT(name) PUMP_TCP__OPERATION_RESULT__OPERATION_##name

static inline bool model_is_hidden(const model_stream *stream) {
  return stream->metadata.truncate_before == MODEL_HIDDEN;
}

/* The first number that can be read, where any can. */
static inline int64_t model_first(const model_stream *stream) {
  int64_t first = stream->metadata.truncate_before > 0 ? stream->metadata.truncate_before : 0;
  int64_t most = stream->metadata.max_count;
  return most > 0 && stream->count - most > first ? stream->count - most : first;
}

static inline bool model_can_read(const model_stream *stream, int64_t number) {
  return !stream->is_gone && number >= model_first(stream) && number < stream->count;
}

static inline void model_settle(model_stream *stream) {
  int64_t first = model_is_hidden(stream) ? stream->count : model_first(stream);
  if (first > stream->floor) stream->floor = first;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static inline model_written model_refuse(PumpTcp__OperationResult result, int64_t version) {
  return (model_written){.result = result, .version = version};
}

/* Of events with one id the first counts. -1: there is none. */
static inline int64_t model_number_of(const model_stream *stream, uint64_t id) {
  for (int64_t number = 0; number < stream->count; number++) {
    if (stream->events[number].id == id) return number;
  }
  return -1;
}

/* The same write again, if its ids stand in the stream: right behind the version that was
 * expected, or anywhere. */
static inline bool model_happened(const model_stream *stream, int64_t expected, const uint64_t *ids,
                                  int count, model_written *out) {
  if (count == 0) return false;
  for (int i = 0; i < count; i++) {
    int64_t number = expected >= PUMP_NO_STREAM ? expected + 1 + i : -1;
    bool is_there = number >= 0 ? number < stream->count && stream->events[number].id == ids[i]
                                : (number = model_number_of(stream, ids[i])) >= 0;
    if (!is_there) return false;
    if (i == 0) out->first = number;
    out->last = number;
  }
  return true;
}

/* The verdict on a write of these to a stream whose newest number is last. */
static inline model_written model_decide(const model_stream *stream, int64_t expected,
                                         const uint64_t *ids, int count) {
  model_written out = {.result = RESULT(SUCCESS)};
  int64_t last = stream->count - 1;
  if (stream->is_gone) return model_refuse(RESULT(STREAM_DELETED), -1);
  if (expected == PUMP_STREAM_EXISTS && model_is_hidden(stream))
    return model_refuse(RESULT(STREAM_DELETED), -1);
  if (expected == PUMP_STREAM_EXISTS && last < 0 && stream->meta_count == 0)
    return model_refuse(RESULT(WRONG_EXPECTED_VERSION), last);
  bool is_passed = expected < last;
  if ((is_passed || expected < PUMP_NO_STREAM) &&
      model_happened(stream, expected, ids, count, &out))
    return out;
  bool begins_anew = expected == PUMP_NO_STREAM && model_is_hidden(stream) && count > 0;
  if (expected >= PUMP_NO_STREAM && expected != last && !begins_anew)
    return model_refuse(RESULT(WRONG_EXPECTED_VERSION), last);
  /* Begun before, and something else now. */
  if (expected < PUMP_NO_STREAM && count > 0 && model_number_of(stream, ids[0]) >= 0)
    return model_refuse(RESULT(WRONG_EXPECTED_VERSION), last);
  out.is_new = true;
  out.first = last + 1;
  out.last = last + count;
  return out;
}

static inline void model_add(model_stream *stream, uint64_t id) {
  if (stream->count == stream->capacity) {
    stream->capacity = stream->capacity ? 2 * stream->capacity : 64;
    stream->events = realloc(stream->events, (size_t)stream->capacity * sizeof *stream->events);
    if (!stream->events) abort();
  }
  stream->events[stream->count++] = (model_event){.id = id, .position = -1};
}

static inline model_written model_append(model_stream *stream, int64_t expected,
                                         const uint64_t *ids, int count) {
  model_written out = model_decide(stream, expected, ids, count);
  if (!out.is_new) return out;
  if (model_is_hidden(stream)) {
    stream->metadata = model_no_metadata;
    stream->metadata.truncate_before = stream->count;
    stream->meta_count++;
  }
  for (int i = 0; i < count; i++)
    model_add(stream, ids[i]);
  model_settle(stream);
  return out;
}

static inline model_written model_delete(model_stream *stream, int64_t expected, bool for_ever) {
  static const uint64_t nothing_like_it = UINT64_MAX;
  model_written out = model_decide(stream, expected, &nothing_like_it, 1);
  if (!out.is_new) return out;
  stream->is_gone = for_ever;
  if (!for_ever) {
    stream->metadata = model_no_metadata;
    stream->metadata.truncate_before = MODEL_HIDDEN;
    stream->meta_count++;
  }
  model_settle(stream);
  return out;
}

/* A write of one event, which was never written before, to the stream's metastream. */
static inline model_written model_set_metadata(model_stream *stream, int64_t expected,
                                               model_metadata metadata) {
  model_written out = {.result = RESULT(SUCCESS)};
  int64_t last = stream->meta_count - 1;
  if (stream->is_gone) return model_refuse(RESULT(STREAM_DELETED), -1);
  if (expected >= PUMP_NO_STREAM && expected != last)
    return model_refuse(RESULT(WRONG_EXPECTED_VERSION), last);
  if (model_is_hidden(stream)) {
    if (!metadata.is_void) metadata.truncate_before = stream->count;
    stream->meta_count++;
  }
  stream->meta_count++;
  stream->metadata = metadata;
  model_settle(stream);
  out.is_new = true;
  out.first = out.last = last + 1;
  return out;
}

/* ---- Rights ------------------------------------------------------------------------------- */

static inline bool model_may(bool is_for_ops, model_user who) {
  return !is_for_ops || who == ADMIN || who == OPS;
}

#endif

#include "node/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/node_private.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

/* The bodies of a page's events stay under this, so that the frame stays under what clients
 * take; the page ends early and says where it goes on. */
#define MAX_PAGE_BYTES (60u * 1024 * 1024)
/* EventNumber.Invalid: stands in answers to writes that failed. */
#define NO_NUMBER INT32_MIN

static const pump_bytes no_bytes;

bool pump_answer_knows(uint8_t command, bool *is_write) {
  *is_write = command == PUMP_TCP_WRITE_EVENTS || command == PUMP_TCP_DELETE_STREAM;
  switch (command) {
  case PUMP_TCP_WRITE_EVENTS:
  case PUMP_TCP_DELETE_STREAM:
  case PUMP_TCP_READ_EVENT:
  case PUMP_TCP_READ_STREAM_FORWARD:
  case PUMP_TCP_READ_STREAM_BACKWARD:
  case PUMP_TCP_READ_ALL_FORWARD:
  case PUMP_TCP_READ_ALL_BACKWARD:
  case PUMP_TCP_SUBSCRIBE_TO_STREAM:
  case PUMP_TCP_UNSUBSCRIBE_FROM_STREAM: return true;
  default: return false;
  }
}

void pump_answer_not_understood(pump_peer *peer, uint8_t command,
                                const pump_tcp_correlation *correlation) {
  char text[128], number[8];
  const char *name = pump_tcp_command_name(command);
  snprintf(number, sizeof number, "%u", command);
  snprintf(text, sizeof text, "Could not unwrap network package for command %s.\n",
           name ? name : number);
  pump_peer_bad_request(peer, correlation, text);
}

/* ---- Writes ------------------------------------------------------------------------------- */

static bool is_expected_version(int64_t version) {
  return version >= 0 || version == PUMP_ANY || version == PUMP_NO_STREAM ||
         version == PUMP_STREAM_EXISTS;
}

static bool is_good_event(const pump_new_event *event) {
  size_t left = PUMP_MAX_EVENT;
  if (pump_guid_is_zero(&event->id) || event->type.size == 0) return false;
  if (event->type.size > left / 2) return false;
  left -= 2 * event->type.size;
  if (event->data.size > left) return false;
  return event->metadata.size <= left - event->data.size;
}

static bool is_good_write(const pump_tcp_write *write) {
  if (write->stream.size == 0 || write->stream.size > PUMP_MAX_EVENT / 2) return false;
  if (!is_expected_version(write->expected_version)) return false;
  for (size_t i = 0; i < write->count; i++) {
    if (!is_good_event(&write->events[i])) return false;
  }
  return true;
}

static void execute_append(pump_node *node, pump_request *request) {
  pump_tcp_write write;
  request->status = PUMP_EBADREQUEST;
  if (pump_tcp_decode_write(request->payload, &write) != 0) return;
  if (is_good_write(&write)) {
    request->status = PUMP_EACCESS;
    if (pump_rights_allow(node->store, request->who, write.stream, PUMP_STORE_WRITE))
      request->status =
          pump_store_append(node->store, write.stream, write.expected_version, write.events,
                            write.count, pump_node_time(), &request->written);
  }
  free(write.events);
}

static void execute_delete(pump_node *node, pump_request *request) {
  request->status = PUMP_EBADREQUEST;
  PumpTcp__DeleteStream *asked =
      (PumpTcp__DeleteStream *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) return;
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (stream.size > 0 && stream.size <= PUMP_MAX_EVENT / 2 &&
      is_expected_version(asked->expected_version)) {
    request->status = PUMP_EACCESS;
    if (pump_rights_allow(node->store, request->who, stream, PUMP_STORE_DELETE))
      request->status = pump_store_delete(node->store, stream, asked->expected_version,
                                          asked->hard_delete, pump_node_time(), &request->written);
  }
  pump_tcp_unpack_free(&asked->base);
}

void pump_answer_execute(pump_node *node, pump_request *request) {
  if (request->command == PUMP_TCP_DELETE_STREAM)
    execute_delete(node, request);
  else
    execute_append(node, request);
}

typedef struct verdict {
  PumpTcp__OperationResult result;
  const char *text; /* NULL: none */
} verdict;

static verdict verdict_of(const pump_request *request) {
  if (request->status == PUMP_EACCESS)
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_ACCESS_DENIED, "Access denied."};
  switch (request->written.result) {
  case PUMP_STORE_SUCCESS: return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS, NULL};
  case PUMP_STORE_DELETED:
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_STREAM_DELETED, "Stream is deleted."};
  default:
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_WRONG_EXPECTED_VERSION,
                     "Wrong expected version."};
  }
}

static void answer_append(pump_peer *peer, const pump_request *request) {
  const pump_store_written *written = &request->written;
  verdict said = verdict_of(request);
  PumpTcp__WriteEventsCompleted reply = PUMP_TCP__WRITE_EVENTS_COMPLETED__INIT;
  reply.has_result = reply.has_first_event_number = reply.has_last_event_number = true;
  reply.has_prepare_position = reply.has_commit_position = reply.has_current_version = true;
  reply.result = said.result;
  if (said.text) {
    reply.has_message = true;
    reply.message = pump_tcp_binary(pump_bytes_of(said.text));
    reply.first_event_number = reply.last_event_number = reply.prepare_position = NO_NUMBER;
    bool is_wrong = request->status == 0 && written->result == PUMP_STORE_WRONG_VERSION;
    reply.current_version = is_wrong ? written->version : -1;
  } else {
    reply.first_event_number = written->first;
    reply.last_event_number = written->last;
    reply.prepare_position = reply.commit_position = written->position;
  }
  if (pump_tcp_pack(&peer->out, PUMP_TCP_WRITE_EVENTS_COMPLETED, &request->correlation, no_bytes,
                    no_bytes, &reply.base) != 0)
    pump_peer_close(peer);
}

static void answer_delete(pump_peer *peer, const pump_request *request) {
  verdict said = verdict_of(request);
  PumpTcp__DeleteStreamCompleted reply = PUMP_TCP__DELETE_STREAM_COMPLETED__INIT;
  reply.has_result = reply.has_prepare_position = reply.has_commit_position = true;
  reply.result = said.result;
  if (said.text) {
    reply.has_message = true;
    reply.message = pump_tcp_binary(pump_bytes_of(said.text));
  }
  reply.prepare_position = reply.commit_position = said.text ? -1 : request->written.position;
  if (pump_tcp_pack(&peer->out, PUMP_TCP_DELETE_STREAM_COMPLETED, &request->correlation, no_bytes,
                    no_bytes, &reply.base) != 0)
    pump_peer_close(peer);
}

static void answer_write(pump_peer *peer, const pump_request *request) {
  if (request->status == PUMP_EBADREQUEST) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
  } else if (request->status == PUMP_ESTORE) {
    char text[320];
    snprintf(text, sizeof text, "the store could not write: %s",
             pump_store_error(peer->node->store));
    pump_peer_bad_request(peer, &request->correlation, text);
  } else if (request->command == PUMP_TCP_DELETE_STREAM) {
    answer_delete(peer, request);
  } else {
    answer_append(peer, request);
  }
}

/* ---- Pages -------------------------------------------------------------------------------- */

static void put_number(pump_buffer *out, uint32_t number, int64_t value) {
  uint8_t *to = pump_buffer_reserve(out, 16);
  if (!to) return;
  uint8_t *behind = pump_pb_put_number(to, number, (uint64_t)value);
  pump_buffer_grew(out, (size_t)(behind - to));
}

static void put_text(pump_buffer *out, uint32_t number, const char *text) {
  size_t size = strlen(text);
  uint8_t *to = pump_buffer_reserve(out, pump_pb_bytes_size(number, size));
  if (!to) return;
  uint8_t *behind = pump_pb_put_bytes(to, number, text, size);
  pump_buffer_grew(out, (size_t)(behind - to));
}

/* A body that is being written while the store hands over events. */
typedef struct page {
  pump_peer *peer;
  const pump_request *request;
  pump_buffer *out;
  size_t frame;       /* where the frame begins */
  size_t body;        /* where its body begins */
  uint32_t number;    /* of the field that holds an event */
  bool with_position; /* $all */
  bool has_events;
  bool is_denied; /* a link led to what this user may not read */
} page;

static void begin_page(page *at, pump_peer *peer, const pump_request *request, uint8_t command) {
  *at = (page){.peer = peer, .request = request, .out = &peer->out};
  at->frame = pump_tcp_frame_begin(at->out, command, &request->correlation, no_bytes, no_bytes);
  at->body = at->out->size;
}

static void end_page(page *at) {
  if (pump_tcp_frame_end(at->out, at->frame) != 0) pump_peer_close(at->peer);
}

static size_t size_of(const pump_record *record) {
  return record ? record->stream.size + record->type.size + record->data.size +
                      record->metadata.size + 128
                : 0;
}

static bool may_read(const pump_peer *peer, const pump_request *request, pump_bytes stream) {
  return pump_rights_allow(peer->node->store, request->who, stream, PUMP_STORE_READ);
}

static bool take(void *ud, const pump_event *event) {
  page *at = ud;
  if (event->link && event->record && !may_read(at->peer, at->request, event->record->stream)) {
    at->is_denied = true;
    return false;
  }
  size_t size = size_of(event->record) + size_of(event->link);
  if (at->has_events && at->out->size - at->body + size > MAX_PAGE_BYTES) return false;
  pump_tcp_event encoded = {.record = event->record,
                            .link = event->link,
                            .position = event->position,
                            .with_position = at->with_position};
  pump_tcp_encode_event(at->out, at->number, &encoded);
  at->has_events = true;
  return !at->out->failed;
}

/* Why a page can't be had; NULL: it can. The words are a server's. */
static const char *check_count(int32_t max_count) {
  if (max_count > PUMP_MAX_PAGE) return "Read size too big, should be less than 4096 items";
  return max_count > 0 ? NULL : "maxCount should be positive.\nParameter name: maxCount";
}

static const char *read_failure(const pump_peer *peer, char text[320]) {
  snprintf(text, 320, "the store could not read: %s", pump_store_error(peer->node->store));
  return text;
}

/* ---- Reading one event -------------------------------------------------------------------- */

static void answer_read_event(pump_peer *peer, const pump_request *request,
                              const PumpTcp__ReadEvent *asked) {
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (stream.size == 0 || asked->event_number < PUMP_END) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  page at;
  begin_page(&at, peer, request, PUMP_TCP_READ_EVENT_COMPLETED);
  at.number = 2;
  put_number(at.out, 1, PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS);

  char text[320];
  const char *error = NULL;
  PumpTcp__ReadEventResult result = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ACCESS_DENIED;
  if (may_read(peer, request, stream)) {
    static const PumpTcp__ReadEventResult results[] = {
        [PUMP_STORE_SUCCESS] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS,
        [PUMP_STORE_NO_STREAM] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NO_STREAM,
        [PUMP_STORE_DELETED] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_STREAM_DELETED,
        [PUMP_STORE_NO_EVENT] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NOT_FOUND,
    };
    pump_store_result found;
    if (pump_store_read_event(peer->node->store, stream, asked->event_number,
                              asked->resolve_link_tos, pump_node_time(), take, &at, &found) != 0) {
      result = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ERROR;
      error = read_failure(peer, text);
    } else if (!at.is_denied) {
      result = results[found];
    }
  }
  if (result != PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS) {
    pump_buffer_truncate(at.out, at.body);
    put_number(at.out, 1, result);
    at.has_events = false;
  }
  if (!at.has_events) put_text(at.out, 2, "");
  if (error) put_text(at.out, 3, error);
  end_page(&at);
}

/* ---- Reading a stream --------------------------------------------------------------------- */

typedef struct stream_end {
  PumpTcp__ReadStreamResult result;
  int64_t next;
  int64_t last;
  bool is_end;
  const char *error;
} stream_end;

static void read_stream(page *at, pump_bytes stream, const pump_read *read, char text[320],
                        stream_end *end) {
  pump_store_page found;
  if (pump_store_read_stream(at->peer->node->store, stream, read, pump_node_time(), take, at,
                             &found) != 0) {
    end->error = read_failure(at->peer, text);
    return;
  }
  end->result = PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  if (at->is_denied) return;
  end->result = found.result == PUMP_STORE_SUCCESS
                    ? PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS
                : found.result == PUMP_STORE_DELETED
                    ? PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_STREAM_DELETED
                    : PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_NO_STREAM;
  end->next = found.next;
  end->last = found.last;
  end->is_end = found.is_end;
}

static void answer_read_stream(pump_peer *peer, const pump_request *request,
                               const PumpTcp__ReadStreamEvents *asked) {
  bool is_backward = request->command == PUMP_TCP_READ_STREAM_BACKWARD;
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (stream.size == 0 || asked->from_event_number < PUMP_END) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  pump_read read = {.from = asked->from_event_number,
                    .max_count = asked->max_count,
                    .backward = is_backward,
                    .resolve_links = asked->resolve_link_tos};
  page at;
  begin_page(&at, peer, request,
             is_backward ? PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED
                         : PUMP_TCP_READ_STREAM_FORWARD_COMPLETED);
  at.number = 1;

  char text[320];
  stream_end end = {PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ERROR, -1, -1, true, NULL};
  end.error = check_count(asked->max_count);
  if (!end.error && !is_backward && read.from < 0)
    end.error = "fromEventNumber should be non negative.\nParameter name: fromEventNumber";
  if (!end.error && !may_read(peer, request, stream))
    end.result = PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  else if (!end.error)
    read_stream(&at, stream, &read, text, &end);
  if (end.result != PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS)
    pump_buffer_truncate(at.out, at.body);
  put_number(at.out, 2, end.result);
  put_number(at.out, 3, end.next);
  put_number(at.out, 4, end.last);
  put_number(at.out, 5, end.is_end);
  put_number(at.out, 6, pump_store_last_position(peer->node->store));
  put_text(at.out, 7, end.error ? end.error : "");
  end_page(&at);
}

/* ---- Reading $all ------------------------------------------------------------------------- */

static void answer_read_all(pump_peer *peer, const pump_request *request,
                            const PumpTcp__ReadAllEvents *asked) {
  bool is_backward = request->command == PUMP_TCP_READ_ALL_BACKWARD;
  pump_store *store = peer->node->store;
  pump_position from = {asked->commit_position, asked->prepare_position};
  if (from.commit == -1 && from.prepare == -1)
    from.commit = from.prepare = pump_store_end_position(store);
  pump_read read = {.position = from,
                    .max_count = asked->max_count,
                    .backward = is_backward,
                    .resolve_links = asked->resolve_link_tos};
  page at;
  begin_page(&at, peer, request,
             is_backward ? PUMP_TCP_READ_ALL_BACKWARD_COMPLETED
                         : PUMP_TCP_READ_ALL_FORWARD_COMPLETED);
  at.number = 3;
  at.with_position = true;
  put_number(at.out, 1, from.commit);
  put_number(at.out, 2, from.prepare);
  size_t events = at.out->size;

  char text[320];
  PumpTcp__ReadAllResult result = PUMP_TCP__READ_ALL_RESULT__READ_ALL_ERROR;
  pump_position next = {-1, -1};
  const char *error = check_count(asked->max_count);
  if (!error && (from.commit < 0 || from.prepare < 0)) error = "Invalid position.";
  if (!error && !may_read(peer, request, pump_bytes_of("$all"))) {
    result = PUMP_TCP__READ_ALL_RESULT__READ_ALL_ACCESS_DENIED;
  } else if (!error) {
    pump_store_page found;
    if (pump_store_read_all(store, &read, pump_node_time(), take, &at, &found) != 0) {
      error = read_failure(peer, text);
    } else if (at.is_denied) {
      result = PUMP_TCP__READ_ALL_RESULT__READ_ALL_ACCESS_DENIED;
    } else {
      result = PUMP_TCP__READ_ALL_RESULT__READ_ALL_SUCCESS;
      /* A server's prepare position says 0 behind the last event of a page that goes forward. */
      bool is_behind = !is_backward && at.has_events;
      next = (pump_position){found.next, is_behind ? 0 : found.next};
    }
  }
  if (result != PUMP_TCP__READ_ALL_RESULT__READ_ALL_SUCCESS) pump_buffer_truncate(at.out, events);
  put_number(at.out, 4, next.commit);
  put_number(at.out, 5, next.prepare);
  if (result != PUMP_TCP__READ_ALL_RESULT__READ_ALL_SUCCESS) put_number(at.out, 6, result);
  if (error) put_text(at.out, 7, error);
  end_page(&at);
}

static void answer_read(pump_peer *peer, const pump_request *request) {
  ProtobufCMessage *asked = pump_tcp_unpack(request->command, request->payload);
  if (!asked) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  switch (request->command) {
  case PUMP_TCP_READ_EVENT:
    answer_read_event(peer, request, (const PumpTcp__ReadEvent *)(const void *)asked);
    break;
  case PUMP_TCP_READ_STREAM_FORWARD:
  case PUMP_TCP_READ_STREAM_BACKWARD:
    answer_read_stream(peer, request, (const PumpTcp__ReadStreamEvents *)(const void *)asked);
    break;
  default: answer_read_all(peer, request, (const PumpTcp__ReadAllEvents *)(const void *)asked);
  }
  pump_tcp_unpack_free(asked);
}

void pump_answer(pump_peer *peer, const pump_request *request) {
  if (request->is_write)
    answer_write(peer, request);
  else if (request->command == PUMP_TCP_SUBSCRIBE_TO_STREAM)
    pump_feed_answer_subscribe(peer, request);
  else if (request->command == PUMP_TCP_UNSUBSCRIBE_FROM_STREAM)
    pump_feed_answer_unsubscribe(peer, request);
  else
    answer_read(peer, request);
}

#include "node/write.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/answer.h"
#include "node/group_answer.h"
#include "node/node_private.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"

/* EventNumber.Invalid: stands in answers to writes that failed. */
#define NO_NUMBER INT32_MIN

/* ---- What is asked ------------------------------------------------------------------------ */

static bool is_expected_version(int64_t version) {
  return version >= 0 || version == PUMP_ANY || version == PUMP_NO_STREAM ||
         version == PUMP_STREAM_EXISTS;
}

static bool is_stream(pump_bytes stream) {
  return stream.size > 0 && stream.size <= PUMP_MAX_EVENT / 2;
}

static bool is_good_event(const pump_new_event *event) {
  size_t left = PUMP_MAX_EVENT;
  if (pump_guid_is_zero(&event->id) || event->type.size == 0) return false;
  if (event->type.size > left / 2) return false;
  left -= 2 * event->type.size;
  if (event->data.size > left) return false;
  return event->metadata.size <= left - event->data.size;
}

static bool are_good_events(const pump_new_event *events, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!is_good_event(&events[i])) return false;
  }
  return true;
}

/* ---- Executing ---------------------------------------------------------------------------- */

static void execute_append(pump_node *node, pump_request *request) {
  pump_tcp_write write;
  if (pump_tcp_decode_write(request->payload, &write) != 0) return;
  if (is_stream(write.stream) && is_expected_version(write.expected_version) &&
      are_good_events(write.events, write.count)) {
    request->status = PUMP_EACCESS;
    if (pump_node_allows(node, request->who, write.stream, PUMP_STORE_WRITE))
      request->status =
          pump_store_append(node->store, write.stream, write.expected_version, write.events,
                            write.count, pump_node_time(), &request->written);
  }
  free(write.events);
}

/* A newer server finds that there is nothing to be deleted. */
static bool is_nothing(pump_node *node, const PumpTcp__DeleteStream *asked) {
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  return node->is_23 && !asked->hard_delete && !pump_store_has_stream(node->store, stream) &&
         !pump_store_has_metadata(node->store, stream);
}

static void execute_delete(pump_node *node, pump_request *request) {
  PumpTcp__DeleteStream *asked =
      (PumpTcp__DeleteStream *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) return;
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  int64_t expected = asked->expected_version;
  bool is_version =
      is_expected_version(expected) && (expected != PUMP_STREAM_EXISTS || node->is_23);
  if (is_stream(stream) && is_version) {
    request->status = PUMP_EACCESS;
    bool is_allowed = pump_node_allows(node, request->who, stream, PUMP_STORE_DELETE);
    if (is_allowed && is_nothing(node, asked)) {
      request->status = 0;
      request->written = (pump_store_written){.result = PUMP_STORE_WRONG_VERSION, .version = -1};
    } else if (is_allowed) {
      request->status = pump_store_delete(node->store, stream, expected, asked->hard_delete,
                                          pump_node_time(), &request->written);
    }
  }
  pump_tcp_unpack_free(&asked->base);
}

static void execute_start(pump_node *node, pump_request *request) {
  PumpTcp__TransactionStart *asked =
      (PumpTcp__TransactionStart *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) return;
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  int64_t expected = asked->expected_version;
  if (is_stream(stream) && is_expected_version(expected) && expected != PUMP_STREAM_EXISTS) {
    request->status = PUMP_EACCESS;
    request->transaction = -1;
    if (pump_node_allows(node, request->who, stream, PUMP_STORE_WRITE))
      request->status = pump_store_start_transaction(node->store, stream, expected,
                                                     pump_node_time(), &request->transaction);
  }
  pump_tcp_unpack_free(&asked->base);
}

/* 0: there is that transaction, and it is theirs to write to; free its stream. Whose it would be
 * that is not there nobody can tell, and so nobody may. */
static int find_transaction(pump_node *node, const pump_request *request,
                            pump_store_transaction *transaction) {
  int code = pump_store_find_transaction(node->store, request->transaction, transaction);
  if (code != 0) return code;
  if (!transaction->stream) return PUMP_EACCESS;
  pump_bytes stream = {transaction->stream, transaction->size};
  if (pump_node_allows(node, request->who, stream, PUMP_STORE_WRITE)) return 0;
  free(transaction->stream);
  return PUMP_EACCESS;
}

/* Servers say that it is done before they look, the older ones also before they ask whether it
 * may be: what can't be kept shows when it is committed. */
static int extend(pump_node *node, pump_request *request, const pump_new_event *events,
                  size_t count) {
  pump_store_transaction transaction;
  int code = node->is_23
                 ? find_transaction(node, request, &transaction)
                 : pump_store_find_transaction(node->store, request->transaction, &transaction);
  if (code != 0) return code;
  bool is_open = transaction.stream && !transaction.is_committed;
  free(transaction.stream);
  if (!is_open) return 0;
  return pump_store_extend_transaction(node->store, request->transaction, events, count);
}

static void execute_write(pump_node *node, pump_request *request) {
  PumpTcp__TransactionWrite *asked =
      (PumpTcp__TransactionWrite *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) return;
  pump_new_event *events = calloc(asked->n_events + 1, sizeof *events);
  for (size_t i = 0; events && i < asked->n_events; i++) {
    const PumpTcp__NewEvent *given = asked->events[i];
    events[i] = (pump_new_event){.type = pump_tcp_view(given->event_type),
                                 .data = pump_tcp_view(given->data),
                                 .metadata = pump_tcp_view(given->metadata),
                                 .is_json = given->data_content_type == 1};
    if (given->event_id.len == 16) pump_guid_from_net(&events[i].id, given->event_id.data);
  }
  request->transaction = asked->transaction_id;
  if (events && asked->transaction_id >= 0 && are_good_events(events, asked->n_events))
    request->status = extend(node, request, events, asked->n_events);
  free(events);
  pump_tcp_unpack_free(&asked->base);
}

static void execute_commit(pump_node *node, pump_request *request) {
  PumpTcp__TransactionCommit *asked =
      (PumpTcp__TransactionCommit *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) return;
  pump_store_transaction transaction;
  request->transaction = asked->transaction_id;
  if (asked->transaction_id >= 0) request->status = find_transaction(node, request, &transaction);
  if (request->status == 0) {
    request->status = pump_store_commit_transaction(
        node->store, asked->transaction_id, &transaction, pump_node_time(), &request->written);
    free(transaction.stream);
  }
  pump_tcp_unpack_free(&asked->base);
}

void pump_write_execute(pump_node *node, pump_request *request) {
  request->status = PUMP_EBADREQUEST;
  if (pump_group_execute(node, request)) return;
  switch (request->command) {
  case PUMP_TCP_DELETE_STREAM: execute_delete(node, request); break;
  case PUMP_TCP_TRANSACTION_START: execute_start(node, request); break;
  case PUMP_TCP_TRANSACTION_WRITE: execute_write(node, request); break;
  case PUMP_TCP_TRANSACTION_COMMIT: execute_commit(node, request); break;
  default: execute_append(node, request);
  }
}

/* ---- Answering ---------------------------------------------------------------------------- */

typedef struct verdict {
  PumpTcp__OperationResult result;
  const char *text; /* NULL: none */
} verdict;

static verdict verdict_of(const pump_peer *peer, const pump_request *request) {
  if (request->status == PUMP_EACCESS)
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_ACCESS_DENIED,
                     peer->node->is_23 ? "Access Denied" : "Access denied."};
  switch (request->written.result) {
  case PUMP_STORE_SUCCESS: return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS, NULL};
  case PUMP_STORE_DELETED:
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_STREAM_DELETED, "Stream is deleted."};
  default:
    return (verdict){PUMP_TCP__OPERATION_RESULT__OPERATION_WRONG_EXPECTED_VERSION,
                     "Wrong expected version."};
  }
}

/* Where the write stands; a 5.0 server does not say that of one that it recognised. */
static int64_t position_of(const pump_peer *peer, const pump_request *request) {
  const pump_store_written *written = &request->written;
  return written->is_new || peer->node->is_23 ? written->position : -1;
}

/* Where the stream is, as far as those are told whose write was refused. */
static int64_t version_of(const pump_request *request) {
  bool is_wrong = request->status == 0 && request->written.result == PUMP_STORE_WRONG_VERSION;
  return is_wrong ? request->written.version : -1;
}

static void answer_append(pump_peer *peer, const pump_request *request) {
  const pump_store_written *written = &request->written;
  verdict said = verdict_of(peer, request);
  PumpTcp__WriteEventsCompleted reply = PUMP_TCP__WRITE_EVENTS_COMPLETED__INIT;
  reply.has_result = reply.has_first_event_number = reply.has_last_event_number = true;
  reply.has_prepare_position = reply.has_commit_position = reply.has_current_version = true;
  reply.result = said.result;
  if (said.text) {
    reply.has_message = true;
    reply.message = pump_tcp_binary(pump_bytes_of(said.text));
    reply.first_event_number = reply.last_event_number = reply.prepare_position = NO_NUMBER;
    reply.current_version = version_of(request);
  } else {
    reply.first_event_number = written->first;
    reply.last_event_number = written->last;
    reply.prepare_position = reply.commit_position = position_of(peer, request);
  }
  pump_answer_with(peer, PUMP_TCP_WRITE_EVENTS_COMPLETED, &request->correlation, &reply.base);
}

static void answer_delete(pump_peer *peer, const pump_request *request) {
  verdict said = verdict_of(peer, request);
  PumpTcp__DeleteStreamCompleted reply = PUMP_TCP__DELETE_STREAM_COMPLETED__INIT;
  reply.has_result = reply.has_prepare_position = reply.has_commit_position = true;
  reply.result = said.result;
  if (said.text) {
    reply.has_message = true;
    reply.message = pump_tcp_binary(pump_bytes_of(said.text));
  }
  reply.prepare_position = reply.commit_position = said.text ? -1 : request->written.position;
  reply.has_current_version = peer->node->is_23;
  reply.current_version = version_of(request);
  if (!said.text) /* newer servers tell the number before the tombstone's */
    reply.current_version = request->written.last == PUMP_STORE_TOMBSTONE ? INT64_MAX - 1 : 0;
  pump_answer_with(peer, PUMP_TCP_DELETE_STREAM_COMPLETED, &request->correlation, &reply.base);
}

/* Of a start or a write: both answers have the same form. */
static void answer_step(pump_peer *peer, const pump_request *request, uint8_t command) {
  verdict said = verdict_of(peer, request);
  PumpTcp__TransactionStartCompleted reply = PUMP_TCP__TRANSACTION_START_COMPLETED__INIT;
  reply.has_transaction_id = reply.has_result = true;
  reply.transaction_id = request->transaction;
  reply.result = said.result;
  reply.has_message = said.text != NULL;
  reply.message = pump_tcp_binary(pump_bytes_of(said.text));
  pump_answer_with(peer, command, &request->correlation, &reply.base);
}

static void answer_commit(pump_peer *peer, const pump_request *request) {
  verdict said = verdict_of(peer, request);
  PumpTcp__TransactionCommitCompleted reply = PUMP_TCP__TRANSACTION_COMMIT_COMPLETED__INIT;
  reply.has_transaction_id = reply.has_result = reply.has_message = true;
  reply.has_first_event_number = reply.has_last_event_number = true;
  reply.has_prepare_position = reply.has_commit_position = true;
  reply.transaction_id = request->transaction;
  reply.result = said.result;
  reply.message = pump_tcp_binary(pump_bytes_of(said.text ? said.text : ""));
  if (said.text) {
    reply.first_event_number = reply.last_event_number = NO_NUMBER;
  } else {
    reply.first_event_number = request->written.first;
    reply.last_event_number = request->written.last;
    reply.prepare_position = reply.commit_position = position_of(peer, request);
  }
  pump_answer_with(peer, PUMP_TCP_TRANSACTION_COMMIT_COMPLETED, &request->correlation, &reply.base);
}

void pump_write_answer(pump_peer *peer, const pump_request *request) {
  if (request->status == PUMP_EBADREQUEST) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  if (pump_group_answer(peer, request)) return;
  if (request->status == PUMP_ESTORE) {
    char text[320];
    snprintf(text, sizeof text, "the store could not write: %s",
             pump_store_error(peer->node->store));
    pump_peer_bad_request(peer, &request->correlation, text);
    return;
  }
  switch (request->command) {
  case PUMP_TCP_DELETE_STREAM: answer_delete(peer, request); break;
  case PUMP_TCP_TRANSACTION_START:
    answer_step(peer, request, PUMP_TCP_TRANSACTION_START_COMPLETED);
    break;
  case PUMP_TCP_TRANSACTION_WRITE:
    answer_step(peer, request, PUMP_TCP_TRANSACTION_WRITE_COMPLETED);
    break;
  case PUMP_TCP_TRANSACTION_COMMIT: answer_commit(peer, request); break;
  default: answer_append(peer, request);
  }
}

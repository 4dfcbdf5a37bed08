#include "client/tcp_translate.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

/* Servers from 20.6 on know one version, older ones two: 1 means 64-bit event numbers. A larger
 * one makes every later command fail. */
#define CLIENT_VERSION 1

/* ---- Requests ----------------------------------------------------------------------------- */

#define SET(field, value) (message.has_##field = true, message.field = (value))

static int pack(pump_buffer *out, uint8_t command, const pump_request *request,
                const pump_tcp_correlation *correlation, const ProtobufCMessage *message) {
  return pump_tcp_pack(out, command, correlation, request->username, request->password, message);
}

static int encode_empty(pump_buffer *out, uint8_t command, const pump_request *request,
                        const pump_tcp_correlation *correlation) {
  return pump_tcp_frame_write(out, command, correlation, request->username, request->password,
                              (pump_bytes){0});
}

static int encode_identify(pump_buffer *out, const pump_request *request,
                           const pump_tcp_correlation *correlation) {
  PumpTcp__IdentifyClient message = PUMP_TCP__IDENTIFY_CLIENT__INIT;
  SET(version, CLIENT_VERSION);
  SET(connection_name, pump_tcp_binary(request->stream));
  return pack(out, PUMP_TCP_IDENTIFY_CLIENT, request, correlation, &message.base);
}

static int encode_delete(pump_buffer *out, const pump_request *request,
                         const pump_tcp_correlation *correlation) {
  PumpTcp__DeleteStream message = PUMP_TCP__DELETE_STREAM__INIT;
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(expected_version, request->number);
  SET(require_leader, request->require_leader);
  SET(hard_delete, request->is_hard);
  return pack(out, PUMP_TCP_DELETE_STREAM, request, correlation, &message.base);
}

static int encode_read_event(pump_buffer *out, const pump_request *request,
                             const pump_tcp_correlation *correlation) {
  PumpTcp__ReadEvent message = PUMP_TCP__READ_EVENT__INIT;
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(event_number, request->number);
  SET(resolve_link_tos, request->resolve_links);
  SET(require_leader, request->require_leader);
  return pack(out, PUMP_TCP_READ_EVENT, request, correlation, &message.base);
}

static int encode_read_stream(pump_buffer *out, const pump_request *request,
                              const pump_tcp_correlation *correlation) {
  PumpTcp__ReadStreamEvents message = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(from_event_number, request->number);
  SET(max_count, request->max_count);
  SET(resolve_link_tos, request->resolve_links);
  SET(require_leader, request->require_leader);
  return pack(out, request->backward ? PUMP_TCP_READ_STREAM_BACKWARD : PUMP_TCP_READ_STREAM_FORWARD,
              request, correlation, &message.base);
}

/* Events that a server looks at for one page, however few of them are wanted. */
#define SEARCH_WINDOW PUMP_MAX_PAGE

/* A filter in one allocation, which is the caller's to free. */
static PumpTcp__Filter *make_filter(const pump_filter *filter) {
  PumpTcp__Filter *message = malloc(sizeof *message + filter->count * sizeof *message->data);
  if (!message) return NULL;
  pump_tcp__filter__init(message);
  message->has_context = message->has_type = true;
  message->context = filter->by_type ? PUMP_TCP__FILTER_CONTEXT__FILTER_EVENT_TYPE
                                     : PUMP_TCP__FILTER_CONTEXT__FILTER_STREAM_ID;
  message->type =
      filter->is_regex ? PUMP_TCP__FILTER_TYPE__FILTER_REGEX : PUMP_TCP__FILTER_TYPE__FILTER_PREFIX;
  message->n_data = filter->count;
  message->data = (ProtobufCBinaryData *)(void *)(message + 1);
  for (size_t i = 0; i < filter->count; i++)
    message->data[i] = pump_tcp_binary(filter->texts[i]);
  return message;
}

static int encode_filtered_read_all(pump_buffer *out, const pump_request *request,
                                    const pump_tcp_correlation *correlation) {
  PumpTcp__FilteredReadAllEvents message = PUMP_TCP__FILTERED_READ_ALL_EVENTS__INIT;
  message.filter = make_filter(&request->filter);
  if (!message.filter) return PUMP_ENOMEM;
  SET(commit_position, request->position.commit);
  SET(prepare_position, request->position.prepare);
  SET(max_count, request->max_count);
  SET(max_search_window, SEARCH_WINDOW);
  SET(resolve_link_tos, request->resolve_links);
  SET(require_leader, request->require_leader);
  int code = pack(out,
                  request->backward ? PUMP_TCP_FILTERED_READ_ALL_BACKWARD
                                    : PUMP_TCP_FILTERED_READ_ALL_FORWARD,
                  request, correlation, &message.base);
  free(message.filter);
  return code;
}

static int encode_read_all(pump_buffer *out, const pump_request *request,
                           const pump_tcp_correlation *correlation) {
  PumpTcp__ReadAllEvents message = PUMP_TCP__READ_ALL_EVENTS__INIT;
  SET(commit_position, request->position.commit);
  SET(prepare_position, request->position.prepare);
  SET(max_count, request->max_count);
  SET(resolve_link_tos, request->resolve_links);
  SET(require_leader, request->require_leader);
  return pack(out, request->backward ? PUMP_TCP_READ_ALL_BACKWARD : PUMP_TCP_READ_ALL_FORWARD,
              request, correlation, &message.base);
}

/* Events that a server looks at between two checkpoints. */
#define CHECKPOINT_INTERVAL 100

static int encode_filtered_subscribe(pump_buffer *out, const pump_request *request,
                                     const pump_tcp_correlation *correlation) {
  PumpTcp__FilteredSubscribeToStream message = PUMP_TCP__FILTERED_SUBSCRIBE_TO_STREAM__INIT;
  message.filter = make_filter(&request->filter);
  if (!message.filter) return PUMP_ENOMEM;
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(resolve_link_tos, request->resolve_links);
  SET(checkpoint_interval, CHECKPOINT_INTERVAL);
  int code = pack(out, PUMP_TCP_FILTERED_SUBSCRIBE_TO_STREAM, request, correlation, &message.base);
  free(message.filter);
  return code;
}

static int encode_subscribe(pump_buffer *out, const pump_request *request,
                            const pump_tcp_correlation *correlation) {
  PumpTcp__SubscribeToStream message = PUMP_TCP__SUBSCRIBE_TO_STREAM__INIT;
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(resolve_link_tos, request->resolve_links);
  return pack(out, PUMP_TCP_SUBSCRIBE_TO_STREAM, request, correlation, &message.base);
}

/* To create and to update a group is the same message under two names. */
static int encode_group(pump_buffer *out, uint8_t command, const pump_request *request,
                        const pump_tcp_correlation *correlation) {
  PumpTcp__CreatePersistentSubscription message = PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
  const pump_group_settings *settings = request->settings;
  pump_bytes strategy = pump_bytes_of(settings->strategy);
  SET(subscription_group_name, pump_tcp_binary(request->group));
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(resolve_link_tos, settings->resolve_links);
  SET(start_from, settings->from);
  SET(message_timeout_milliseconds, (int32_t)settings->message_timeout);
  SET(record_statistics, settings->record_statistics);
  SET(live_buffer_size, settings->live_buffer_size);
  SET(read_batch_size, settings->read_batch_size);
  SET(buffer_size, settings->buffer_size);
  SET(max_retry_count, settings->max_retry_count);
  SET(prefer_round_robin, pump_bytes_is(strategy, "RoundRobin"));
  SET(checkpoint_after_time, (int32_t)settings->checkpoint_after);
  SET(checkpoint_max_count, settings->checkpoint_max_count);
  SET(checkpoint_min_count, settings->checkpoint_min_count);
  SET(subscriber_max_count, settings->subscriber_max_count);
  SET(named_consumer_strategy, pump_tcp_binary(strategy));
  return pack(out, command, request, correlation, &message.base);
}

static int encode_delete_group(pump_buffer *out, const pump_request *request,
                               const pump_tcp_correlation *correlation) {
  PumpTcp__DeletePersistentSubscription message = PUMP_TCP__DELETE_PERSISTENT_SUBSCRIPTION__INIT;
  SET(subscription_group_name, pump_tcp_binary(request->group));
  SET(event_stream_id, pump_tcp_binary(request->stream));
  return pack(out, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, request, correlation, &message.base);
}

static int encode_consume(pump_buffer *out, const pump_request *request,
                          const pump_tcp_correlation *correlation) {
  PumpTcp__ConnectToPersistentSubscription message =
      PUMP_TCP__CONNECT_TO_PERSISTENT_SUBSCRIPTION__INIT;
  SET(subscription_id, pump_tcp_binary(request->group));
  SET(event_stream_id, pump_tcp_binary(request->stream));
  SET(allowed_in_flight_messages, request->max_count);
  return pack(out, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, request, correlation,
              &message.base);
}

int pump_tcp_encode_request(pump_buffer *out, const pump_request *request,
                            const pump_tcp_correlation *correlation) {
  switch (request->kind) {
  case PUMP_AUTHENTICATE: return encode_empty(out, PUMP_TCP_AUTHENTICATE, request, correlation);
  case PUMP_IDENTIFY: return encode_identify(out, request, correlation);
  case PUMP_PING: return encode_empty(out, PUMP_TCP_PING, request, correlation);
  case PUMP_APPEND:
    return pump_tcp_encode_write(out, correlation, request->username, request->password,
                                 request->stream, request->number, request->require_leader,
                                 request->events, request->count);
  case PUMP_DELETE: return encode_delete(out, request, correlation);
  case PUMP_READ_EVENT: return encode_read_event(out, request, correlation);
  case PUMP_READ_STREAM: return encode_read_stream(out, request, correlation);
  case PUMP_READ_ALL:
    if (request->filter.count > 0) return encode_filtered_read_all(out, request, correlation);
    return encode_read_all(out, request, correlation);
  case PUMP_SUBSCRIBE:
    if (request->filter.count > 0) return encode_filtered_subscribe(out, request, correlation);
    return encode_subscribe(out, request, correlation);
  case PUMP_CREATE_GROUP:
    return encode_group(out, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, request, correlation);
  case PUMP_UPDATE_GROUP:
    return encode_group(out, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION, request, correlation);
  case PUMP_DELETE_GROUP: return encode_delete_group(out, request, correlation);
  case PUMP_CONSUME: return encode_consume(out, request, correlation);
  }
  return PUMP_EINVALID;
}

/* Some thousand ids: written in place. */
int pump_tcp_encode_answer(pump_buffer *out, const pump_conversation *conversation,
                           const pump_answer *answer, const pump_tcp_correlation *correlation) {
  const pump_request *request = &conversation->request;
  const pump_buffer *name = &conversation->name;
  bool is_ack = answer->action == 0;
  size_t size = pump_pb_bytes_size(1, name->size) + answer->count * pump_pb_bytes_size(2, 16);
  if (!is_ack) size += pump_pb_bytes_size(3, answer->why.size) + pump_pb_number_size(4, 1);
  size_t mark = pump_tcp_frame_begin(out,
                                     is_ack ? PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS
                                            : PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS,
                                     correlation, request->username, request->password);
  uint8_t *to = pump_buffer_reserve(out, size);
  if (to) {
    to = pump_pb_put_bytes(to, 1, name->data, name->size);
    for (size_t i = 0; i < answer->count; i++) {
      uint8_t id[16];
      pump_guid_to_net(&answer->ids[i], id);
      to = pump_pb_put_bytes(to, 2, id, sizeof id);
    }
    if (!is_ack) {
      to = pump_pb_put_bytes(to, 3, answer->why.data, answer->why.size);
      pump_pb_put_number(to, 4, (uint64_t)answer->action);
    }
    pump_buffer_grew(out, size);
  }
  return pump_tcp_frame_end(out, mark);
}

/* ---- Replies ------------------------------------------------------------------------------ */

static bool answers(uint8_t command, pump_kind kind) {
  switch (kind) {
  case PUMP_AUTHENTICATE: return command == PUMP_TCP_AUTHENTICATED;
  case PUMP_IDENTIFY: return command == PUMP_TCP_CLIENT_IDENTIFIED;
  case PUMP_PING: return command == PUMP_TCP_PONG;
  case PUMP_APPEND: return command == PUMP_TCP_WRITE_EVENTS_COMPLETED;
  case PUMP_DELETE: return command == PUMP_TCP_DELETE_STREAM_COMPLETED;
  case PUMP_READ_EVENT: return command == PUMP_TCP_READ_EVENT_COMPLETED;
  case PUMP_READ_STREAM:
    return command == PUMP_TCP_READ_STREAM_FORWARD_COMPLETED ||
           command == PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED;
  case PUMP_READ_ALL: /* a filtered one that is refused gets the answer of a plain one */
    return command == PUMP_TCP_READ_ALL_FORWARD_COMPLETED ||
           command == PUMP_TCP_READ_ALL_BACKWARD_COMPLETED ||
           command == PUMP_TCP_FILTERED_READ_ALL_FORWARD_COMPLETED ||
           command == PUMP_TCP_FILTERED_READ_ALL_BACKWARD_COMPLETED;
  case PUMP_SUBSCRIBE:
    return command == PUMP_TCP_SUBSCRIPTION_CONFIRMATION ||
           command == PUMP_TCP_SUBSCRIPTION_DROPPED;
  case PUMP_CREATE_GROUP: return command == PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  case PUMP_UPDATE_GROUP: return command == PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  case PUMP_DELETE_GROUP: return command == PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  case PUMP_CONSUME:
    return command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION ||
           command == PUMP_TCP_SUBSCRIPTION_DROPPED;
  }
  return false;
}

static pump_outcome outcome_of_operation(uint64_t result) {
  switch (result) {
  case PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS: return PUMP_OUTCOME_SUCCESS;
  case PUMP_TCP__OPERATION_RESULT__OPERATION_PREPARE_TIMEOUT:
  case PUMP_TCP__OPERATION_RESULT__OPERATION_COMMIT_TIMEOUT:
  case PUMP_TCP__OPERATION_RESULT__OPERATION_FORWARD_TIMEOUT: return PUMP_OUTCOME_SERVER_TIMEOUT;
  case PUMP_TCP__OPERATION_RESULT__OPERATION_WRONG_EXPECTED_VERSION:
    return PUMP_OUTCOME_WRONG_VERSION;
  case PUMP_TCP__OPERATION_RESULT__OPERATION_STREAM_DELETED: return PUMP_OUTCOME_STREAM_DELETED;
  case PUMP_TCP__OPERATION_RESULT__OPERATION_INVALID_TRANSACTION:
    return PUMP_OUTCOME_INVALID_TRANSACTION;
  case PUMP_TCP__OPERATION_RESULT__OPERATION_ACCESS_DENIED: return PUMP_OUTCOME_ACCESS_DENIED;
  default: return PUMP_OUTCOME_UNREADABLE;
  }
}

/* A WriteEventsCompleted comes for every single write: read in place. What is missing is 0, as
 * servers from 22.6 on leave it out. */
static void translate_write(pump_bytes body, pump_reply *reply) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  uint64_t result = 0;
  reply->current_version = 0;
  while (pump_pb_next(&cursor, &field)) {
    switch (field.number) {
    case 1: result = field.value; break;
    case 2: reply->text = field.bytes; break;
    case 3: reply->first_number = (int64_t)field.value; break;
    case 4: reply->last_number = (int64_t)field.value; break;
    case 5: reply->position.prepare = (int64_t)field.value; break;
    case 6: reply->position.commit = (int64_t)field.value; break;
    case 7: reply->current_version = (int64_t)field.value; break;
    default: break;
    }
  }
  reply->outcome = cursor.malformed ? PUMP_OUTCOME_UNREADABLE : outcome_of_operation(result);
}

/* Only servers from 21.10.11 on tell where the stream is. */
static void translate_delete(pump_bytes body, pump_reply *reply) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  uint64_t result = 0;
  while (pump_pb_next(&cursor, &field)) {
    switch (field.number) {
    case 1: result = field.value; break;
    case 2: reply->text = field.bytes; break;
    case 3: reply->position.prepare = (int64_t)field.value; break;
    case 4: reply->position.commit = (int64_t)field.value; break;
    case 5: reply->current_version = (int64_t)field.value; break;
    default: break;
    }
  }
  reply->outcome = cursor.malformed ? PUMP_OUTCOME_UNREADABLE : outcome_of_operation(result);
}

static pump_outcome outcome_of_read(pump_kind kind, int32_t result) {
  static const pump_outcome of_event[] = {PUMP_OUTCOME_SUCCESS,   PUMP_OUTCOME_NO_EVENT,
                                          PUMP_OUTCOME_NO_STREAM, PUMP_OUTCOME_STREAM_DELETED,
                                          PUMP_OUTCOME_ERROR,     PUMP_OUTCOME_ACCESS_DENIED};
  static const pump_outcome of_stream[] = {PUMP_OUTCOME_SUCCESS,        PUMP_OUTCOME_NO_STREAM,
                                           PUMP_OUTCOME_STREAM_DELETED, PUMP_OUTCOME_ERROR,
                                           PUMP_OUTCOME_ERROR,          PUMP_OUTCOME_ACCESS_DENIED};
  static const pump_outcome of_all[] = {PUMP_OUTCOME_SUCCESS, PUMP_OUTCOME_ERROR,
                                        PUMP_OUTCOME_ERROR, PUMP_OUTCOME_ACCESS_DENIED};
  if (kind == PUMP_READ_ALL)
    return result >= 0 && result < 4 ? of_all[result] : PUMP_OUTCOME_UNREADABLE;
  if (result < 0 || result > 5) return PUMP_OUTCOME_UNREADABLE;
  return kind == PUMP_READ_EVENT ? of_event[result] : of_stream[result];
}

static void translate_page(const pump_tcp_frame *frame, pump_block *block, pump_kind kind,
                           pump_reply *reply) {
  pump_tcp_page page;
  int code = pump_tcp_decode_page(frame->command, block, frame->payload, &page);
  reply->outcome = code == 0 ? outcome_of_read(kind, page.result) : PUMP_OUTCOME_UNREADABLE;
  reply->text = code == PUMP_ENOMEM ? pump_bytes_of("out of memory") : page.error;
  reply->page = page.page;
}

/* LeaderInfo. A port that is not there is 0. */
static void translate_leader(pump_bytes info, pump_reply *reply) {
  pump_pb_cursor cursor = pump_pb_start(info);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field)) {
    switch (field.number) {
    case 1: reply->leader_host = field.bytes; break;
    case 2: reply->leader_port = (int)(field.value & 0xffff); break;
    case 5: reply->secure_leader_host = field.bytes; break;
    case 6: reply->secure_leader_port = (int)(field.value & 0xffff); break;
    default: break;
    }
  }
}

static void translate_not_handled(pump_bytes body, pump_reply *reply) {
  static const pump_outcome outcomes[] = {PUMP_OUTCOME_NOT_READY, PUMP_OUTCOME_TOO_BUSY,
                                          PUMP_OUTCOME_NOT_LEADER, PUMP_OUTCOME_READ_ONLY};
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  uint64_t reason = 0;
  pump_bytes info = {0};
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == 1)
      reason = field.value;
    else if (field.number == 2)
      info = field.bytes;
  }
  reply->outcome = reason < 4 ? outcomes[reason] : PUMP_OUTCOME_NOT_HANDLED;
  if (reply->outcome == PUMP_OUTCOME_NOT_LEADER) translate_leader(info, reply);
}

/* The last event's number is left out for $all, and by proto3 servers where it is 0. */
static void translate_confirmation(pump_bytes body, pump_reply *reply) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == 1)
      reply->position = (pump_position){(int64_t)field.value, (int64_t)field.value};
    else if (field.number == 2)
      reply->last_number = (int64_t)field.value;
  }
  reply->outcome = cursor.malformed ? PUMP_OUTCOME_UNREADABLE : PUMP_OUTCOME_CONFIRMED;
}

static void translate_consumer(pump_bytes body, pump_reply *reply) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field))
    if (field.number == 2) reply->text = field.bytes;
  reply->outcome = cursor.malformed ? PUMP_OUTCOME_UNREADABLE : PUMP_OUTCOME_CONFIRMED;
}

static void translate_group(pump_bytes body, pump_kind kind, pump_reply *reply) {
  const pump_outcome outcomes[] = {PUMP_OUTCOME_SUCCESS,
                                   kind == PUMP_CREATE_GROUP ? PUMP_OUTCOME_GROUP_EXISTS
                                                             : PUMP_OUTCOME_NO_GROUP,
                                   PUMP_OUTCOME_ERROR, PUMP_OUTCOME_ACCESS_DENIED};
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  uint64_t result = 0;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == 1)
      result = field.value;
    else if (field.number == 2)
      reply->text = field.bytes;
  }
  reply->outcome = cursor.malformed || result > 3 ? PUMP_OUTCOME_UNREADABLE : outcomes[result];
}

static void translate_drop(pump_bytes body, pump_reply *reply) {
  static const pump_outcome reasons[] = {PUMP_OUTCOME_DROPPED, PUMP_OUTCOME_ACCESS_DENIED,
                                         PUMP_OUTCOME_NO_GROUP, PUMP_OUTCOME_NO_GROUP,
                                         PUMP_OUTCOME_FULL};
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  uint64_t reason = 0;
  while (pump_pb_next(&cursor, &field))
    if (field.number == 1) reason = field.value;
  reply->outcome = reason < 5 ? reasons[reason] : PUMP_OUTCOME_DROPPED;
}

void pump_tcp_translate(const pump_tcp_frame *frame, pump_block *block, pump_kind kind,
                        pump_reply *reply) {
  *reply = (pump_reply){.outcome = PUMP_OUTCOME_SUCCESS, .current_version = PUMP_UNKNOWN};
  switch (frame->command) {
  case PUMP_TCP_BAD_REQUEST:
    reply->outcome = PUMP_OUTCOME_BAD_REQUEST;
    reply->text = frame->payload;
    return;
  case PUMP_TCP_NOT_AUTHENTICATED:
    /* A server that cannot check anybody yet, or just now, says so only in words. */
    reply->outcome = pump_bytes_is(frame->payload, "Server not yet ready") ||
                             pump_bytes_is(frame->payload, "Internal Server Error")
                         ? PUMP_OUTCOME_NOT_READY
                         : PUMP_OUTCOME_NOT_AUTHENTICATED;
    reply->text = frame->payload;
    return;
  case PUMP_TCP_NOT_HANDLED: translate_not_handled(frame->payload, reply); return;
  default: break;
  }
  if (!answers(frame->command, kind)) {
    const char *name = pump_tcp_command_name(frame->command);
    reply->outcome = PUMP_OUTCOME_UNREADABLE;
    reply->text = pump_bytes_of(name ? name : "unknown command");
  } else if (kind == PUMP_APPEND) {
    translate_write(frame->payload, reply);
  } else if (kind == PUMP_DELETE) {
    translate_delete(frame->payload, reply);
  } else if (frame->command == PUMP_TCP_SUBSCRIPTION_CONFIRMATION) {
    translate_confirmation(frame->payload, reply);
  } else if (frame->command == PUMP_TCP_SUBSCRIPTION_DROPPED) {
    translate_drop(frame->payload, reply);
  } else if (kind == PUMP_CONSUME) {
    translate_consumer(frame->payload, reply);
  } else if (pump_kind_is_of_group(kind)) {
    translate_group(frame->payload, kind, reply);
  } else if (kind >= PUMP_READ_EVENT) {
    translate_page(frame, block, kind, reply);
  }
}

pump_position pump_tcp_translate_checkpoint(pump_bytes body) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  pump_position position = {0};
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == 1)
      position.commit = (int64_t)field.value;
    else if (field.number == 2)
      position.prepare = (int64_t)field.value;
  }
  return cursor.malformed ? (pump_position){-1, -1} : position;
}

/* What a program asks of a client: each function makes one conversation. */
#include "base/bytes.h"
#include "client/client.h"

static const pump_call no_call;

static int ask(pump_client *client, pump_request *request, const pump_call *call, pump_result_cb cb,
               void *ud) {
  if (!call) call = &no_call;
  request->username = call->username;
  request->password = call->password;
  request->require_leader = call->require_leader;
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, request);
  if (code != 0) return code;
  pump_new_event *events = (pump_new_event *)(uintptr_t)conversation->request.events;
  code = pump_random_ids(&client->random, events, request->count);
  if (code != 0) {
    pump_conversation_free(conversation);
    return code;
  }
  conversation->sequence = call->sequence;
  return pump_client_ask(client, conversation, call->timeout, cb, ud);
}

int pump_client_ping(pump_client *client, const pump_call *call, pump_result_cb cb, void *ud) {
  pump_request request = {.kind = PUMP_PING};
  return ask(client, &request, call, cb, ud);
}

int pump_client_append(pump_client *client, pump_bytes stream, int64_t expected,
                       const pump_new_event *events, size_t count, const pump_call *call,
                       pump_result_cb cb, void *ud) {
  pump_request request = {
      .kind = PUMP_APPEND, .stream = stream, .number = expected, .events = events, .count = count};
  return ask(client, &request, call, cb, ud);
}

int pump_client_delete(pump_client *client, pump_bytes stream, int64_t expected, bool hard,
                       const pump_call *call, pump_result_cb cb, void *ud) {
  pump_request request = {
      .kind = PUMP_DELETE, .stream = stream, .number = expected, .is_hard = hard};
  return ask(client, &request, call, cb, ud);
}

void pump_group_settings_init(pump_group_settings *settings) {
  *settings = (pump_group_settings){.from = PUMP_END,
                                    .message_timeout = 30000,
                                    .live_buffer_size = 500,
                                    .read_batch_size = 20,
                                    .buffer_size = 500,
                                    .max_retry_count = 10,
                                    .checkpoint_after = 2000,
                                    .checkpoint_min_count = 10,
                                    .checkpoint_max_count = 1000,
                                    .strategy = "RoundRobin"};
}

static int put_group(pump_client *client, pump_kind kind, pump_bytes group, pump_bytes stream,
                     const pump_group_settings *settings, const pump_call *call, pump_result_cb cb,
                     void *ud) {
  pump_request request = {.kind = kind, .group = group, .stream = stream, .settings = settings};
  return ask(client, &request, call, cb, ud);
}

int pump_client_create_group(pump_client *client, pump_bytes group, pump_bytes stream,
                             const pump_group_settings *settings, const pump_call *call,
                             pump_result_cb cb, void *ud) {
  return put_group(client, PUMP_CREATE_GROUP, group, stream, settings, call, cb, ud);
}

int pump_client_update_group(pump_client *client, pump_bytes group, pump_bytes stream,
                             const pump_group_settings *settings, const pump_call *call,
                             pump_result_cb cb, void *ud) {
  return put_group(client, PUMP_UPDATE_GROUP, group, stream, settings, call, cb, ud);
}

int pump_client_delete_group(pump_client *client, pump_bytes group, pump_bytes stream,
                             const pump_call *call, pump_result_cb cb, void *ud) {
  pump_request request = {.kind = PUMP_DELETE_GROUP, .group = group, .stream = stream};
  return ask(client, &request, call, cb, ud);
}

int pump_client_read_event(pump_client *client, pump_bytes stream, int64_t number,
                           bool resolve_links, const pump_call *call, pump_result_cb cb, void *ud) {
  pump_request request = {
      .kind = PUMP_READ_EVENT, .stream = stream, .number = number, .resolve_links = resolve_links};
  return ask(client, &request, call, cb, ud);
}

static int read_page(pump_client *client, pump_kind kind, pump_bytes stream, const pump_read *read,
                     const pump_call *call, pump_result_cb cb, void *ud) {
  pump_request request = {.kind = kind,
                          .stream = stream,
                          .number = read->from,
                          .position = read->position,
                          .max_count = read->max_count,
                          .backward = read->backward,
                          .filter = read->filter,
                          .resolve_links = read->resolve_links};
  return ask(client, &request, call, cb, ud);
}

int pump_client_read_stream(pump_client *client, pump_bytes stream, const pump_read *read,
                            const pump_call *call, pump_result_cb cb, void *ud) {
  return read_page(client, PUMP_READ_STREAM, stream, read, call, cb, ud);
}

int pump_client_read_all(pump_client *client, const pump_read *read, const pump_call *call,
                         pump_result_cb cb, void *ud) {
  return read_page(client, PUMP_READ_ALL, (pump_bytes){0}, read, call, cb, ud);
}

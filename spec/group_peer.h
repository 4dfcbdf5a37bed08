/* What specs of consumer groups ask a node in a process of its own, and what they hear. */
#ifndef SPEC_GROUP_PEER_H
#define SPEC_GROUP_PEER_H

#include "node_child.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

#define MAX_COUNT 3000

static const pump_bytes no_bytes;

/* ---- Asking ------------------------------------------------------------------------------- */

static inline pump_tcp_correlation id_of(uint8_t kind, unsigned number) {
  pump_tcp_correlation id = {{0}};
  memcpy(id.bytes, &number, sizeof number);
  id.bytes[15] = kind;
  return id;
}

static inline node_child start(const char *file, const char *like) {
  static const pump_node_user users[] = {{"joe", "changeit"}};
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = file;
  options.sync_normal = true;
  options.listen = "127.0.0.1:0";
  options.http = "127.0.0.1:0";
  options.like = like;
  options.users = users;
  options.user_count = 1;
  return node_child_start(&options);
}

static inline bool write_event(node_peer *peer, const char *stream, const char *type,
                               const char *data, const char *metadata) {
  static unsigned counter;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(1, ++counter);
  pump_new_event event = {.type = pump_bytes_of(type),
                          .data = pump_bytes_of(data),
                          .metadata = pump_bytes_of(metadata),
                          .is_json = data[0] == '{'};
  memcpy(event.id.bytes, id.bytes, sizeof id);
  pump_tcp_encode_write(&peer->out, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                        pump_bytes_of(stream), PUMP_ANY, false, &event, 1);
  return node_peer_flush(peer) && node_peer_receive(peer, &frame) &&
         frame.command == PUMP_TCP_WRITE_EVENTS_COMPLETED;
}

static inline bool hard_delete(node_peer *peer, const char *stream) {
  uint8_t body[128];
  pump_tcp_correlation id = id_of(10, 0);
  pump_tcp_frame frame;
  uint8_t *end = pump_pb_put_bytes(body, 1, stream, strlen(stream));
  end = pump_pb_put_number(pump_pb_put_number(end, 2, (uint64_t)PUMP_ANY), 4, 1);
  return node_peer_send(peer, PUMP_TCP_DELETE_STREAM, &id, "admin", "changeit",
                        (pump_bytes){(char *)body, (size_t)(end - body)}) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_DELETE_STREAM_COMPLETED;
}

static inline bool write_events(node_peer *peer, const char *stream, int count) {
  bool is_good = true;
  for (int i = 0; i < count; i++)
    is_good = write_event(peer, stream, "thing", "1", "") && is_good;
  return is_good;
}

typedef struct settings {
  int64_t start_from;
  int32_t timeout, retries, batch, buffer, after, max, min, most;
  bool resolve_links;
  const char *strategy;
  bool record_statistics;
} settings;

static const settings usual = {0, 30000, 2, 20, 500, 0, 1000, 1, 0, false, "RoundRobin", false};

/* The result, or -1; the reason, which is kept until the next. */
static inline int change(node_peer *peer, uint8_t command, const char *stream, const char *group,
                         const settings *wanted, const char *login, char reason[200]) {
  PumpTcp__CreatePersistentSubscription asked = PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = id_of(2, 1);
  pump_tcp_frame frame;
  int result = -1;
  asked.has_subscription_group_name = asked.has_event_stream_id = true;
  asked.subscription_group_name = pump_tcp_binary(pump_bytes_of(group));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  if (command != PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION) {
#define SET(field, value) asked.has_##field = true, asked.field = value
    SET(start_from, wanted->start_from);
    SET(message_timeout_milliseconds, wanted->timeout);
    SET(max_retry_count, wanted->retries);
    SET(read_batch_size, wanted->batch);
    SET(buffer_size, wanted->buffer);
    SET(checkpoint_after_time, wanted->after);
    SET(checkpoint_max_count, wanted->max);
    SET(checkpoint_min_count, wanted->min);
    SET(subscriber_max_count, wanted->most);
    SET(resolve_link_tos, wanted->resolve_links);
    SET(record_statistics, wanted->record_statistics);
    SET(named_consumer_strategy, pump_tcp_binary(pump_bytes_of(wanted->strategy)));
#undef SET
  }
  pump_tcp_pack(&peer->out, command, &id, pump_bytes_of(login),
                pump_bytes_of(login ? "changeit" : NULL), &asked.base);
  reason[0] = '\0';
  while (node_peer_flush(peer) && node_peer_receive(peer, &frame) &&
         frame.command != command + 1) /* what it is dropped from comes before */
    if (frame.command == PUMP_TCP_BAD_REQUEST) return -2;
  ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
  if (!message) return -1;
  const PumpTcp__CreatePersistentSubscriptionCompleted *said =
      (const PumpTcp__CreatePersistentSubscriptionCompleted *)(void *)message;
  result = (int)said->result;
  snprintf(reason, 200, "%.*s", (int)said->reason.len, (char *)said->reason.data);
  pump_tcp_unpack_free(message);
  return result;
}

static inline bool create(node_peer *peer, const char *stream, const char *group,
                          const settings *wanted) {
  char reason[200];
  return change(peer, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, stream, group, wanted, "admin",
                reason) == 0;
}

/* Confirmed: 0; refused: the reason + 100; -1 */
static inline int join(node_peer *peer, unsigned number, const char *stream, const char *group,
                       int32_t allowed, const char *login) {
  PumpTcp__ConnectToPersistentSubscription asked =
      PUMP_TCP__CONNECT_TO_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = id_of(3, number);
  pump_tcp_frame frame;
  asked.has_subscription_id = asked.has_event_stream_id = asked.has_allowed_in_flight_messages =
      true;
  asked.subscription_id = pump_tcp_binary(pump_bytes_of(group));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  asked.allowed_in_flight_messages = allowed;
  pump_tcp_pack(&peer->out, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, &id, pump_bytes_of(login),
                pump_bytes_of(login ? "changeit" : NULL), &asked.base);
  if (!node_peer_flush(peer) || !node_peer_receive(peer, &frame)) return -1;
  if (frame.command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION) return 0;
  if (frame.command != PUMP_TCP_SUBSCRIPTION_DROPPED) return -1;
  return 100 + (frame.payload.size > 1 ? frame.payload.data[1] : 0);
}

typedef struct pushed {
  pump_guid id; /* to acknowledge it by, in .NET's order */
  int64_t number;
  int64_t link; /* -1: none */
  int32_t retries;
  unsigned consumer;
  bool has_event;
  char stream[64];
  char metadata[200];
} pushed;

static inline void take_record(pushed *what, const PumpTcp__EventRecord *record) {
  memcpy(what->id.bytes, record->event_id.data, 16);
  snprintf(what->metadata, sizeof what->metadata, "%.*s", (int)record->metadata.len,
           (char *)record->metadata.data);
}

static inline bool read_push(const pump_tcp_frame *frame, pushed *what) {
  if (frame->command != PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED) return false;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  if (!message) return false;
  const PumpTcp__PersistentSubscriptionStreamEventAppeared *said =
      (const PumpTcp__PersistentSubscriptionStreamEventAppeared *)(void *)message;
  *what = (pushed){.number = -1, .link = -1, .retries = said->retry_count};
  memcpy(&what->consumer, frame->correlation.bytes, sizeof what->consumer);
  const PumpTcp__EventRecord *event = said->event->event;
  what->has_event = event != NULL;
  if (event) {
    what->number = event->event_number;
    snprintf(what->stream, sizeof what->stream, "%.*s", (int)event->event_stream_id.len,
             (char *)event->event_stream_id.data);
    take_record(what, event);
  }
  if (said->event->link) {
    what->link = said->event->link->event_number;
    take_record(what, said->event->link);
  }
  pump_tcp_unpack_free(message);
  return true;
}

static inline bool receive(node_peer *peer, pushed *what) {
  pump_tcp_frame frame;
  return node_peer_receive(peer, &frame) && read_push(&frame, what);
}

/* The numbers that come next: "0 1 2". */
static inline const char *numbers(node_peer *peer, int count) {
  static char text[256];
  pushed what;
  text[0] = '\0';
  for (int i = 0; i < count && receive(peer, &what); i++) {
    size_t size = strlen(text);
    snprintf(text + size, sizeof text - size, "%s%lld", i ? " " : "",
             (long long)(what.link >= 0 ? what.link : what.number));
  }
  return text;
}

static inline void answer(node_peer *peer, const char *key, const pushed *events, size_t count,
                          int action, const char *why) {
  PumpTcp__PersistentSubscriptionNakEvents said =
      PUMP_TCP__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__INIT;
  ProtobufCBinaryData ids[MAX_COUNT];
  pump_tcp_correlation id = id_of(4, 1);
  for (size_t i = 0; i < count; i++)
    ids[i] = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)events[i].id.bytes};
  said.has_subscription_id = true;
  said.subscription_id = pump_tcp_binary(pump_bytes_of(key));
  said.n_processed_event_ids = count;
  said.processed_event_ids = ids;
  said.has_action = said.has_message = action >= 0;
  said.action = (PumpTcp__NakAction)(action >= 0 ? action : 0);
  said.message = pump_tcp_binary(pump_bytes_of(why));
  pump_tcp_pack(&peer->out,
                action >= 0 ? PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS
                            : PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS,
                &id, pump_bytes_of("admin"), pump_bytes_of("changeit"), &said.base);
  node_peer_flush(peer);
}

static inline void ack(node_peer *peer, const char *key, const pushed *what) {
  answer(peer, key, what, 1, -1, "");
}

/* Receives so many and acknowledges each; false: something else came. */
static inline bool work(node_peer *peer, const char *key, int count) {
  pushed what;
  for (int i = 0; i < count; i++) {
    if (!receive(peer, &what)) return false;
    ack(peer, key, &what);
  }
  return true;
}

/* Nothing but the pong comes. */
static inline bool is_quiet(node_peer *peer) {
  pump_tcp_correlation id = id_of(5, 0);
  pump_tcp_frame frame;
  return node_peer_send(peer, PUMP_TCP_PING, &id, NULL, NULL, no_bytes) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_PONG;
}

/* How many events a stream shows, and the data of its last. */
static inline int read_stream(node_peer *peer, const char *stream, char data[200]) {
  uint8_t body[256];
  pump_tcp_correlation id = id_of(6, 0);
  pump_tcp_frame frame;
  uint8_t *end = pump_pb_put_bytes(body, 1, stream, strlen(stream));
  end = pump_pb_put_number(pump_pb_put_number(end, 2, 0), 3, 100);
  data[0] = '\0';
  if (!node_peer_send(peer, PUMP_TCP_READ_STREAM_FORWARD, &id, "admin", "changeit",
                      (pump_bytes){(char *)body, (size_t)(end - body)}) ||
      !node_peer_receive(peer, &frame))
    return -1;
  ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
  if (!message) return -1;
  const PumpTcp__ReadStreamEventsCompleted *said =
      (const PumpTcp__ReadStreamEventsCompleted *)(void *)message;
  int count = (int)said->n_events;
  for (int i = 0; i < count; i++)
    snprintf(data, 200, "%.*s", (int)said->events[i]->event->data.len,
             (char *)said->events[i]->event->data.data);
  pump_tcp_unpack_free(message);
  return count;
}

/* The status of a page; the page. */
static inline int ask_page(int port, const char *method, const char *path,
                           const char *authorization, char page[8192]) {
  node_peer guest;
  char head[512];
  size_t size = 0;
  ssize_t got;
  snprintf(head, sizeof head, "%s %s HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n%s%s%s\r\n",
           method, path, authorization ? "Authorization: Basic " : "",
           authorization ? authorization : "", authorization ? "\r\n" : "");
  bool is_there =
      node_peer_connect(&guest, port) && node_peer_send_bytes(&guest, head, strlen(head));
  while (is_there && (got = recv(guest.fd, page + size, 8191 - size, 0)) > 0)
    size += (size_t)got;
  page[size] = '\0';
  node_peer_close(&guest);
  return size > 12 ? atoi(page + 9) : -1;
}

#define ADMIN "YWRtaW46Y2hhbmdlaXQ="
#define JOE   "am9lOmNoYW5nZWl0"

#endif

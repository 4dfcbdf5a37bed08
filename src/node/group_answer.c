#include "node/group_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/answer.h"
#include "node/node_private.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"

/* What one connection may take part in. */
#define MAX_SUBSCRIBERS 10000
/* Within a turn a peer's events go out in lots of this size. */
#define LOT (64 * 1024)

static const pump_bytes no_bytes;

typedef struct pump_subscriber {
  pump_group_member member; /* first */
  pump_table_link by_id;
  struct pump_subscriber *next;
  struct pump_subscriber *previous;
  pump_peer *peer;
  pump_tcp_correlation id;
  char from[PUMP_ADDRESS_SIZE];
} pump_subscriber;

/* ---- Executing ---------------------------------------------------------------------------- */

static pump_bytes name_of(const pump_account *who) {
  return pump_bytes_of(who && who->name ? who->name : "admin");
}

static bool take_strategy(const pump_node *node, const PumpTcp__CreatePersistentSubscription *asked,
                          pump_strategy_kind *kind) {
  pump_bytes name = pump_tcp_view(asked->named_consumer_strategy);
  *kind = asked->prefer_round_robin ? PUMP_ROUND_ROBIN : PUMP_DISPATCH_TO_SINGLE;
  if (name.size == 0) return true;
  return pump_strategy_parse(name, kind) && (node->is_23 || *kind != PUMP_PINNED_BY_CORRELATION);
}

static pump_group_rules settings_of(const PumpTcp__CreatePersistentSubscription *asked) {
  return (pump_group_rules){
      .resolve_links = asked->resolve_link_tos,
      .extra_statistics = asked->record_statistics,
      .prefer_round_robin = asked->prefer_round_robin,
      .start_from = asked->start_from < 0 ? -1 : asked->start_from,
      .message_timeout = asked->message_timeout_milliseconds,
      .max_retries = asked->max_retry_count,
      .live_buffer = asked->live_buffer_size,
      .buffer = asked->buffer_size,
      .read_batch = asked->read_batch_size,
      .checkpoint_after = asked->checkpoint_after_time,
      .checkpoint_min = asked->checkpoint_min_count,
      .checkpoint_max = asked->checkpoint_max_count,
      .max_consumers = asked->subscriber_max_count,
  };
}

static int change(pump_node *node, const pump_request *request,
                  const PumpTcp__CreatePersistentSubscription *asked) {
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  pump_bytes name = pump_tcp_view(asked->subscription_group_name);
  pump_group_rules settings = settings_of(asked);
  bool is_new = request->command == PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION;
  if (is_new && (stream.size == 0 || pump_bytes_is(stream, "$all"))) return PUMP_EINVALID;
  if (!take_strategy(node, asked, &settings.strategy)) return PUMP_ENOTSUPPORTED;
  return (is_new ? pump_groups_create : pump_groups_update)(node, stream, name, &settings,
                                                            name_of(request->who));
}

/* An update is the same message as a creation. */
static void execute_change(pump_node *node, pump_request *request) {
  PumpTcp__CreatePersistentSubscription *asked =
      (PumpTcp__CreatePersistentSubscription *)(void *)pump_tcp_unpack(
          PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, request->payload);
  if (!asked) return;
  request->status = PUMP_EACCESS;
  if (asked->subscription_group_name.len == 0)
    request->status = PUMP_EBADREQUEST;
  else if (pump_groups_may_change(node, request->who))
    request->status = change(node, request, asked);
  pump_tcp_unpack_free(&asked->base);
}

static void execute_delete(pump_node *node, pump_request *request) {
  PumpTcp__DeletePersistentSubscription *asked =
      (PumpTcp__DeletePersistentSubscription *)(void *)pump_tcp_unpack(request->command,
                                                                       request->payload);
  if (!asked) return;
  request->status = PUMP_EACCESS;
  if (pump_groups_may_change(node, request->who))
    request->status =
        pump_groups_delete(node, pump_tcp_view(asked->event_stream_id),
                           pump_tcp_view(asked->subscription_group_name), name_of(request->who));
  pump_tcp_unpack_free(&asked->base);
}

static bool take_id(pump_guid *id, ProtobufCBinaryData given) {
  if (given.len == 16) pump_guid_from_net(id, given.data);
  return given.len == 16;
}

/* Whoever knows the group and the event may acknowledge it, as on servers. */
static void execute_ack(pump_node *node, pump_request *request) {
  PumpTcp__PersistentSubscriptionAckEvents *asked =
      (PumpTcp__PersistentSubscriptionAckEvents *)(void *)pump_tcp_unpack(request->command,
                                                                          request->payload);
  if (!asked) return;
  request->status = 0;
  pump_kept_group *group = pump_groups_find(node, pump_tcp_view(asked->subscription_id));
  pump_guid id;
  for (size_t i = 0; group && i < asked->n_processed_event_ids; i++) {
    if (take_id(&id, asked->processed_event_ids[i])) pump_groups_ack(group, &id);
  }
  pump_tcp_unpack_free(&asked->base);
}

/* Stop is not implemented by any server: the event is done with, as by Skip. */
static pump_nak action_of(PumpTcp__NakAction action) {
  switch (action) {
  case PUMP_TCP__NAK_ACTION__NAK_UNKNOWN:
  case PUMP_TCP__NAK_ACTION__NAK_RETRY: return PUMP_NAK_RETRY;
  case PUMP_TCP__NAK_ACTION__NAK_PARK: return PUMP_NAK_PARK;
  default: return PUMP_NAK_SKIP;
  }
}

static void execute_nak(pump_node *node, pump_request *request) {
  PumpTcp__PersistentSubscriptionNakEvents *asked =
      (PumpTcp__PersistentSubscriptionNakEvents *)(void *)pump_tcp_unpack(request->command,
                                                                          request->payload);
  if (!asked) return;
  request->status = 0;
  pump_kept_group *group = pump_groups_find(node, pump_tcp_view(asked->subscription_id));
  pump_guid id;
  for (size_t i = 0; group && i < asked->n_processed_event_ids; i++) {
    if (take_id(&id, asked->processed_event_ids[i]))
      pump_groups_nak(group, &id, action_of(asked->action), pump_tcp_view(asked->message));
  }
  pump_tcp_unpack_free(&asked->base);
}

bool pump_group_execute(pump_node *node, pump_request *request) {
  switch (request->command) {
  case PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION: execute_change(node, request); return true;
  case PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION: execute_delete(node, request); return true;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS: execute_ack(node, request); return true;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: execute_nak(node, request); return true;
  default: return false;
  }
}

/* ---- Outcomes ----------------------------------------------------------------------------- */

/* The second number means that there is such a group, or that there is none. */
static PumpTcp__GroupResult result_of(int status) {
  switch (status) {
  case 0: return PUMP_TCP__GROUP_RESULT__GROUP_SUCCESS;
  case PUMP_EEXISTS:
  case PUMP_ENOGROUP: return PUMP_TCP__GROUP_RESULT__GROUP_EXISTS_OR_MISSING;
  case PUMP_EACCESS: return PUMP_TCP__GROUP_RESULT__GROUP_ACCESS_DENIED;
  default: return PUMP_TCP__GROUP_RESULT__GROUP_FAIL;
  }
}

static void put_name(pump_buffer *to, const char *before, ProtobufCBinaryData name,
                     const char *behind) {
  pump_buffer_text(to, before);
  pump_buffer_append(to, name.data, name.len);
  pump_buffer_text(to, behind);
}

/* A server's words. */
static void put_reason(pump_buffer *to, const pump_peer *peer, const pump_request *request,
                       const PumpTcp__CreatePersistentSubscription *asked) {
  bool is_23 = peer->node->is_23;
  bool is_update = request->command == PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION;
  switch (request->status) {
  case 0: break;
  case PUMP_EACCESS:
    pump_buffer_text(to, is_23       ? "Access Denied"
                         : is_update ? "You do not have permissions to update the subscription"
                                     : "You do not have permissions to create streams");
    break;
  case PUMP_EEXISTS:
    put_name(to, "Group '", asked->subscription_group_name, "' already exists.");
    break;
  case PUMP_ENOGROUP:
    put_name(to, "Group '", asked->subscription_group_name, "' does not exist.");
    break;
  case PUMP_ENOTSUPPORTED:
    put_name(to, "Consumer strategy ", asked->named_consumer_strategy, " does not exist.");
    break;
  case PUMP_EINVALID:
    pump_buffer_text(to, is_23 && asked->event_stream_id.len > 0
                             ? "Persistent subscriptions to $all are only supported over gRPC "
                               "through gRPC clients"
                             : "Bad stream name.");
    break;
  case PUMP_ETOOLARGE: pump_buffer_text(to, "This node has too many groups."); break;
  default:
    put_name(to, "the store could not write: ", (ProtobufCBinaryData){0},
             pump_store_error(peer->node->store));
  }
}

/* All three are answered alike, and ask alike as far as this is concerned. */
static void answer_change(pump_peer *peer, const pump_request *request) {
  static const PumpTcp__CreatePersistentSubscription nothing =
      PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
  PumpTcp__CreatePersistentSubscription *asked =
      (PumpTcp__CreatePersistentSubscription *)(void *)pump_tcp_unpack(
          PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, request->payload);
  PumpTcp__CreatePersistentSubscriptionCompleted reply =
      PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED__INIT;
  pump_buffer reason;
  pump_buffer_init(&reason);
  put_reason(&reason, peer, request, asked ? asked : &nothing);
  reply.has_result = reply.has_reason = true;
  reply.result = result_of(request->status);
  reply.reason = (ProtobufCBinaryData){reason.size, reason.data};
  pump_answer_with(peer, request->command + 1, &request->correlation, &reply.base);
  pump_buffer_free(&reason);
  if (asked) pump_tcp_unpack_free(&asked->base);
}

bool pump_group_answer(pump_peer *peer, const pump_request *request) {
  switch (request->command) {
  case PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION: answer_change(peer, request); return true;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS:
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: return true; /* nobody is told */
  default: return false;
  }
}

/* ---- Subscribers -------------------------------------------------------------------------- */

static bool has_room(pump_group_member *member) {
  pump_peer *peer = ((pump_subscriber *)(void *)member)->peer;
  if (peer->is_ending) return false;
  peer->is_hungry = peer->is_hungry || pump_peer_unsent(peer) >= PUMP_PEER_HIGH_WATER;
  return !peer->is_hungry;
}

/* Whoever is closed in here stays a member until the loop has closed it: its group looks on at it. */
static bool push(pump_group_member *member, const pump_event *event, int32_t retries) {
  const uint8_t command = PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED;
  pump_subscriber *to = (pump_subscriber *)(void *)member;
  pump_peer *peer = to->peer;
  size_t start = peer->out.size;
  size_t mark = pump_tcp_frame_begin(&peer->out, command, &to->id, no_bytes, no_bytes);
  pump_answer_put_event(peer, &peer->out, 1, event, false);
  uint8_t *at = pump_buffer_reserve(&peer->out, 16);
  if (at && !(peer->node->is_23 && retries == 0))
    pump_buffer_grew(&peer->out, (size_t)(pump_pb_put_number(at, 2, (uint64_t)retries) - at));
  if (pump_tcp_frame_end(&peer->out, mark) != 0) {
    pump_peer_close(peer); /* it would miss an event */
    return false;
  }
  pump_faults_answered(peer, start, command);
  if (peer->out.size >= LOT) pump_peer_flush(peer);
  pump_node_schedule(peer->node, peer);
  return true;
}

static void say_dropped(pump_peer *peer, const pump_tcp_correlation *id,
                        PumpTcp__DropReason reason) {
  PumpTcp__SubscriptionDropped dropped = PUMP_TCP__SUBSCRIPTION_DROPPED__INIT;
  dropped.has_reason = reason != PUMP_TCP__DROP_REASON__DROP_UNSUBSCRIBED;
  dropped.reason = reason;
  pump_answer_with(peer, PUMP_TCP_SUBSCRIPTION_DROPPED, id, &dropped.base);
}

static void forget(pump_subscriber *one) {
  pump_groups_leave(&one->member);
  pump_table_remove(&one->peer->subscribers_by_id, &one->by_id);
  *(one->previous ? &one->previous->next : &one->peer->subscribers) = one->next;
  if (one->next) one->next->previous = one->previous;
  free(one);
}

static void drop(pump_group_member *member) {
  pump_subscriber *one = (pump_subscriber *)(void *)member;
  pump_peer *peer = one->peer;
  if (!peer->is_ending) {
    say_dropped(peer, &one->id, PUMP_TCP__DROP_REASON__DROP_UNSUBSCRIBED);
    pump_node_schedule(peer->node, peer);
  }
  forget(one);
}

static const pump_group_calls calls = {has_room, push, drop};

static uint64_t hash_of(const pump_peer *peer, const pump_tcp_correlation *id) {
  return pump_table_hash(peer->node->groups.seed, id, sizeof *id);
}

static pump_subscriber *find(const pump_peer *peer, const pump_tcp_correlation *id) {
  pump_table_link *link = pump_table_first(&peer->subscribers_by_id, hash_of(peer, id));
  for (; link; link = pump_table_next(link)) {
    pump_subscriber *found =
        (pump_subscriber *)(void *)((char *)link - offsetof(pump_subscriber, by_id));
    if (memcmp(&found->id, id, sizeof *id) == 0) return found;
  }
  return NULL;
}

/* ---- Connecting --------------------------------------------------------------------------- */

static void confirm(pump_peer *peer, const pump_request *request, const pump_kept_group *group) {
  pump_store *store = peer->node->store;
  PumpTcp__PersistentSubscriptionConfirmation reply =
      PUMP_TCP__PERSISTENT_SUBSCRIPTION_CONFIRMATION__INIT;
  reply.has_last_commit_position = reply.has_subscription_id = reply.has_last_event_number = true;
  reply.last_commit_position = pump_store_last_position(store);
  reply.subscription_id = pump_tcp_binary(pump_group_entry_key(&group->entry));
  reply.last_event_number = pump_store_last_number(store, pump_group_entry_stream(&group->entry));
  pump_answer_with(peer, PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION, &request->correlation,
                   &reply.base);
}

static void describe(pump_subscriber *one) {
  struct sockaddr_storage address;
  int size = sizeof address;
  char host[PUMP_HOST_SIZE] = "";
  int port = 0;
  if (one->peer->uv.handle.type != UV_TCP ||
      uv_tcp_getpeername(&one->peer->uv.tcp, (struct sockaddr *)&address, &size) != 0)
    return;
  uv_ip_name((struct sockaddr *)&address, host, sizeof host);
  if (address.ss_family == AF_INET)
    port = ntohs(((struct sockaddr_in *)&address)->sin_port);
  else
    port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
  snprintf(one->from, sizeof one->from, address.ss_family == AF_INET ? "%s:%d" : "[%s]:%d", host,
           port);
}

static void join(pump_peer *peer, const pump_request *request, pump_kept_group *group,
                 int32_t allowed) {
  pump_subscriber *one = calloc(1, sizeof *one);
  if (one) one->by_id.hash = hash_of(peer, &request->correlation);
  if (!one || pump_table_add(&peer->subscribers_by_id, &one->by_id) != 0) {
    free(one);
    pump_peer_close(peer);
    return;
  }
  one->peer = peer;
  one->id = request->correlation;
  describe(one);
  one->member = (pump_group_member){
      .calls = &calls, .who = request->who, .from = one->from, .name = peer->name};
  if (pump_groups_join(group, &one->member, allowed > 0 ? (size_t)allowed : 0) != 0) {
    pump_table_remove(&peer->subscribers_by_id, &one->by_id);
    free(one);
    /* A newer server says nothing at all. */
    if (!peer->node->is_23)
      say_dropped(peer, &request->correlation,
                  PUMP_TCP__DROP_REASON__DROP_SUBSCRIBER_MAX_COUNT_REACHED);
    return;
  }
  one->next = peer->subscribers;
  if (one->next) one->next->previous = one;
  peer->subscribers = one;
  confirm(peer, request, group);
}

static pump_kept_group *find_group(const pump_node *node, pump_bytes stream, pump_bytes name) {
  pump_buffer key;
  pump_buffer_init(&key);
  pump_buffer_append(&key, stream.data, stream.size);
  pump_buffer_text(&key, "::");
  pump_buffer_append(&key, name.data, name.size);
  pump_kept_group *found = pump_groups_find(node, (pump_bytes){(const char *)key.data, key.size});
  pump_buffer_free(&key);
  return found;
}

static void connect_to(pump_peer *peer, const pump_request *request,
                       const PumpTcp__ConnectToPersistentSubscription *asked) {
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (!pump_node_allows(peer->node, request->who, stream, PUMP_STORE_READ)) {
    say_dropped(peer, &request->correlation, PUMP_TCP__DROP_REASON__DROP_ACCESS_DENIED);
    return;
  }
  pump_kept_group *group = find_group(peer->node, stream, pump_tcp_view(asked->subscription_id));
  if (!group) {
    say_dropped(peer, &request->correlation, PUMP_TCP__DROP_REASON__DROP_NOT_FOUND);
    return;
  }
  if (peer->subscribers_by_id.count >= MAX_SUBSCRIBERS) {
    pump_peer_bad_request(peer, &request->correlation,
                          "This connection has too many subscriptions.");
    return;
  }
  pump_subscriber *same = find(peer, &request->correlation);
  if (same) forget(same);
  join(peer, request, group, asked->allowed_in_flight_messages);
}

void pump_group_answer_connect(pump_peer *peer, const pump_request *request) {
  PumpTcp__ConnectToPersistentSubscription *asked =
      (PumpTcp__ConnectToPersistentSubscription *)(void *)pump_tcp_unpack(request->command,
                                                                          request->payload);
  if (!asked) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  connect_to(peer, request, asked);
  pump_tcp_unpack_free(&asked->base);
}

bool pump_group_answer_unsubscribe(pump_peer *peer, const pump_request *request) {
  pump_subscriber *one = find(peer, &request->correlation);
  if (!one) return false;
  forget(one);
  say_dropped(peer, &request->correlation, PUMP_TCP__DROP_REASON__DROP_UNSUBSCRIBED);
  return true;
}

void pump_group_answer_catch_up(pump_peer *peer) {
  if (!peer->is_hungry || pump_peer_unsent(peer) >= PUMP_PEER_HIGH_WATER) return;
  peer->is_hungry = false;
  for (pump_subscriber *one = peer->subscribers; one; one = one->next)
    pump_groups_wake(one->member.group);
}

void pump_group_answer_forget(pump_peer *peer) {
  while (peer->subscribers)
    forget(peer->subscribers);
  pump_table_free(&peer->subscribers_by_id);
}

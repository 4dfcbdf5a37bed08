#include "node/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "node/answer.h"
#include "node/filter.h"
#include "node/node_private.h"
#include "wire/tcp/command.h"

/* What a peer's subscriptions may take, names included: some hundred thousand of them. */
#define MAX_BYTES ((size_t)16 * 1024 * 1024)
/* How many events a peer may lag behind; a server's ConnectionQueueSizeThreshold. */
#define MAX_MISSED 50000
/* Events that are read for one who lags behind before others have their turn. */
#define CATCH_UP_COUNT 1000
#define LOT            (64 * 1024)

static const pump_tcp_correlation nobody;
static const pump_bytes no_bytes;

typedef struct pump_subscription {
  pump_table_link link;           /* first: among those with the same peer and id */
  pump_table_link ear;            /* among those with the same peer and topic */
  struct pump_subscription *next; /* of those who listen to the same */
  struct pump_subscription *previous;
  struct pump_subscription *next_of_peer;
  struct pump_subscription *previous_of_peer;
  struct topic *topic; /* NULL: $all */
  pump_peer *peer;
  const pump_account *who;
  pump_tcp_correlation id;
  bool resolve_links;
  int64_t from; /* events before this position it has, or does not want */
  /* With a filter: what it was asked for with, and events looked at since the last checkpoint. */
  PumpTcp__FilteredSubscribeToStream *asked;
  pump_node_filter *filter;
  int32_t examined;
} pump_subscription;

typedef struct topic {
  pump_table_link link; /* first */
  pump_subscription *listeners;
  size_t size;
  char name[];
} topic;

/* ---- Who listens -------------------------------------------------------------------------- */

static topic *find_topic(const pump_feed *feed, pump_bytes name, uint64_t hash) {
  pump_table_link *link = pump_table_first(&feed->topics, hash);
  for (; link; link = pump_table_next(link)) {
    topic *found = (topic *)(void *)link;
    if (pump_bytes_equal(name, (pump_bytes){found->name, found->size})) return found;
  }
  return NULL;
}

/* The topic of that name, new if need be; NULL: no memory. */
static topic *use_topic(pump_feed *feed, pump_bytes name) {
  uint64_t hash = pump_table_hash(feed->seed, name.data, name.size);
  topic *found = find_topic(feed, name, hash);
  if (found) return found;
  topic *added = malloc(sizeof *added + name.size);
  if (!added) return NULL;
  *added = (topic){.link.hash = hash, .size = name.size};
  memcpy(added->name, name.data, name.size);
  if (pump_table_add(&feed->topics, &added->link) == 0) return added;
  free(added);
  return NULL;
}

static void release_topic(pump_feed *feed, topic *used) {
  if (used->listeners) return;
  pump_table_remove(&feed->topics, &used->link);
  free(used);
}

static uint64_t hash_of(const pump_feed *feed, const pump_peer *peer,
                        const pump_tcp_correlation *id) {
  return pump_table_hash(pump_table_hash(feed->seed, id, sizeof *id), (const void *)&peer,
                         sizeof peer);
}

/* to NULL: $all. */
static uint64_t hash_of_ear(const pump_feed *feed, const pump_peer *peer, const topic *to) {
  return pump_table_hash(pump_table_hash(feed->seed, (const void *)&to, sizeof to),
                         (const void *)&peer, sizeof peer);
}

static pump_subscription *find(const pump_peer *peer, const pump_tcp_correlation *id) {
  const pump_feed *feed = &peer->node->feed;
  pump_table_link *link = pump_table_first(&feed->subscriptions, hash_of(feed, peer, id));
  for (; link; link = pump_table_next(link)) {
    pump_subscription *found = (pump_subscription *)(void *)link;
    if (found->peer == peer && memcmp(&found->id, id, sizeof *id) == 0) return found;
  }
  return NULL;
}

static pump_subscription **listeners_of(pump_feed *feed, topic *of) {
  return of ? &of->listeners : &feed->everything;
}

static size_t bytes_of(const pump_subscription *one) {
  size_t filter = one->asked ? protobuf_c_message_get_packed_size(&one->asked->base) : 0;
  return sizeof *one + filter + (one->topic ? sizeof *one->topic + one->topic->size : 0);
}

static void free_subscription(pump_subscription *one) {
  pump_node_filter_free(one->filter);
  if (one->asked) pump_tcp_unpack_free(&one->asked->base);
  free(one);
}

static void leave(pump_subscription *one) {
  pump_feed *feed = &one->peer->node->feed;
  pump_listener *listener = &one->peer->listener;
  pump_table_remove(&feed->subscriptions, &one->link);
  pump_table_remove(&feed->ears, &one->ear);
  *(one->previous ? &one->previous->next : listeners_of(feed, one->topic)) = one->next;
  if (one->next) one->next->previous = one->previous;
  *(one->previous_of_peer ? &one->previous_of_peer->next_of_peer : &listener->subscriptions) =
      one->next_of_peer;
  if (one->next_of_peer) one->next_of_peer->previous_of_peer = one->previous_of_peer;
  listener->bytes -= bytes_of(one);
  feed->resolving -= one->resolve_links;
  if (one->topic) release_topic(feed, one->topic);
  free_subscription(one);
}

/* NULL: no memory. */
static pump_subscription *join(pump_peer *peer, const pump_request *request, topic *to,
                               bool resolve_links) {
  pump_feed *feed = &peer->node->feed;
  pump_listener *listener = &peer->listener;
  pump_subscription *one = calloc(1, sizeof *one);
  if (!one) return NULL;
  one->link.hash = hash_of(feed, peer, &request->correlation);
  one->ear.hash = hash_of_ear(feed, peer, to);
  one->topic = to;
  one->peer = peer;
  one->who = request->who;
  one->id = request->correlation;
  one->resolve_links = resolve_links;
  one->from = pump_store_end_position(peer->node->store);
  int code = pump_table_add(&feed->subscriptions, &one->link);
  if (code == 0 && (code = pump_table_add(&feed->ears, &one->ear)) != 0)
    pump_table_remove(&feed->subscriptions, &one->link);
  if (code != 0) {
    free(one);
    return NULL;
  }
  pump_subscription **first = listeners_of(feed, to);
  one->next = *first;
  if (*first) (*first)->previous = one;
  *first = one;
  one->next_of_peer = listener->subscriptions;
  if (one->next_of_peer) one->next_of_peer->previous_of_peer = one;
  listener->subscriptions = one;
  listener->bytes += bytes_of(one);
  feed->resolving += resolve_links;
  return one;
}

void pump_feed_forget(pump_peer *peer) {
  while (peer->listener.subscriptions)
    leave(peer->listener.subscriptions);
}

/* ---- Pushing ------------------------------------------------------------------------------ */

enum { AS_IT_STANDS, RESOLVED, UNREADABLE, KINDS };

/* One event on its way to those who listen. */
typedef struct delivery {
  pump_node *node;
  pump_peer *only;         /* who is catching up; NULL: everybody who is not */
  const pump_event *event; /* with its link resolved where anybody wants that */
  /* As it stands, resolved, resolved to what may not be seen; the same for old peers. */
  pump_buffer bodies[2 * KINDS];
  bool is_held_back; /* somebody had no room for it */
} delivery;

static const pump_record *original_of(const pump_event *event) {
  return event->link ? event->link : event->record;
}

static int kind_for(const delivery *at, const pump_subscription *one) {
  const pump_event *event = at->event;
  if (!one->resolve_links || !event->link) return AS_IT_STANDS;
  if (!event->record) return RESOLVED;
  return pump_node_allows(at->node, one->who, event->record->stream, PUMP_STORE_READ) ? RESOLVED
                                                                                      : UNREADABLE;
}

/* The body of the frame, written for the first who wants it so. */
static pump_bytes body_for(delivery *at, const pump_subscription *one) {
  int kind = kind_for(at, one);
  pump_buffer *body = &at->bodies[kind + (one->peer->is_old ? KINDS : 0)];
  if (body->size == 0) {
    pump_event event = *at->event;
    if (kind == UNREADABLE) event.record = NULL;
    if (kind == AS_IT_STANDS)
      event = (pump_event){.record = original_of(at->event), .position = event.position};
    pump_answer_put_event(one->peer, body, 1, &event, true);
  }
  return (pump_bytes){(const char *)body->data, body->failed ? 0 : body->size};
}

static void fall_behind(pump_peer *peer, int64_t position) {
  pump_listener *listener = &peer->listener;
  if (!listener->is_behind) listener->from = position;
  listener->is_behind = true;
  if (++listener->missed > MAX_MISSED) {
    char text[64];
    snprintf(text, sizeof text, "Connection queue size is too large: %zu.", listener->missed);
    pump_peer_bad_request(peer, &nobody, text);
    pump_peer_end(peer);
  }
}

/* Now and then whoever has a filter is told how far that has come. */
static void tell_checkpoint(const delivery *at, pump_subscription *one) {
  int32_t interval = one->asked->checkpoint_interval;
  if (interval <= 0 || ++one->examined < interval) return;
  PumpTcp__CheckpointReached reached = PUMP_TCP__CHECKPOINT_REACHED__INIT;
  one->examined = 0;
  reached.has_commit_position = reached.has_prepare_position = true;
  reached.commit_position = at->event->position.commit;
  reached.prepare_position = at->event->position.prepare;
  pump_answer_with(one->peer, PUMP_TCP_CHECKPOINT_REACHED, &one->id, &reached.base);
}

/* False: it could not be written. */
static bool put(delivery *at, const pump_subscription *one) {
  pump_peer *peer = one->peer;
  pump_bytes body = body_for(at, one);
  size_t start = peer->out.size;
  if (body.size == 0 || pump_tcp_frame_write(&peer->out, PUMP_TCP_STREAM_EVENT_APPEARED, &one->id,
                                             no_bytes, no_bytes, body) != 0)
    return false;
  pump_faults_answered(peer, start, PUMP_TCP_STREAM_EVENT_APPEARED);
  return true;
}

static void push(delivery *at, pump_subscription *one) {
  pump_peer *peer = one->peer;
  int64_t position = at->event->position.commit;
  if (peer->is_ending || position < one->from) return;
  if ((!at->only && peer->listener.is_behind) || pump_peer_unsent(peer) >= PUMP_PEER_HIGH_WATER) {
    at->is_held_back = true;
    if (!at->only) fall_behind(peer, position);
    return;
  }
  bool is_wanted = !one->filter || pump_node_filter_wants(one->filter, at->event);
  if (is_wanted && !put(at, one)) {
    pump_peer_close(peer); /* it would miss an event */
    return;
  }
  one->from = position + 1;
  if (one->filter) tell_checkpoint(at, one);
  if (peer->listener.missed > 0) peer->listener.missed--;
  if (peer->out.size >= LOT) pump_peer_flush(peer);
  if (!at->only) pump_node_schedule(at->node, peer);
}

/* To those who listen to a topic, NULL: to $all. One who is catching up need not be looked for among
 * all of them. A peer that is closed meanwhile keeps its subscriptions until the loop has closed
 * it. */
static void push_to(delivery *at, topic *to) {
  pump_feed *feed = &at->node->feed;
  if (!at->only) {
    for (pump_subscription *one = *listeners_of(feed, to); one; one = one->next)
      push(at, one);
    return;
  }
  pump_table_link *link = pump_table_first(&feed->ears, hash_of_ear(feed, at->only, to));
  for (; link; link = pump_table_next(link)) {
    pump_subscription *one =
        (pump_subscription *)(void *)((char *)link - offsetof(pump_subscription, ear));
    if (one->peer == at->only && one->topic == to) push(at, one);
  }
}

static bool deliver(void *ud, const pump_event *event) {
  delivery *at = ud;
  pump_feed *feed = &at->node->feed;
  at->event = event;
  pump_bytes stream = original_of(event)->stream;
  topic *to = find_topic(feed, stream, pump_table_hash(feed->seed, stream.data, stream.size));
  if (to) push_to(at, to);
  if (!at->only) pump_groups_notice(at->node, original_of(event), event->position.commit);
  push_to(at, NULL);
  for (size_t i = 0; i < sizeof at->bodies / sizeof *at->bodies; i++)
    pump_buffer_clear(&at->bodies[i]);
  return !at->only || !at->is_held_back;
}

/* From *next on, as many events; *next is then where to go on. */
static int deliver_from(delivery *at, int64_t *next, int count) {
  pump_store *store = at->node->store;
  pump_read read = {.position = {*next, *next},
                    .max_count = count,
                    .resolve_links = at->node->feed.resolving > 0};
  pump_store_page page;
  int code = pump_store_read_all(store, &read, pump_node_time(), deliver, at, &page);
  if (code == 0) *next = page.next;
  for (size_t i = 0; i < sizeof at->bodies / sizeof *at->bodies; i++)
    pump_buffer_free(&at->bodies[i]);
  return code;
}

void pump_feed_publish(pump_node *node) {
  pump_feed *feed = &node->feed;
  int64_t end = pump_store_end_position(node->store);
  if (feed->subscriptions.count == 0 && node->groups.consumers == 0) feed->next = end;
  while (feed->next < end) {
    delivery at = {.node = node};
    if (deliver_from(&at, &feed->next, PUMP_MAX_PAGE) != 0) return; /* again at the next tick */
  }
}

void pump_feed_catch_up(pump_peer *peer) {
  pump_listener *listener = &peer->listener;
  if (!listener->is_behind || peer->is_ending) return;
  delivery at = {.node = peer->node, .only = peer};
  if (pump_peer_unsent(peer) >= PUMP_PEER_HIGH_WATER) return;
  int code = deliver_from(&at, &listener->from, CATCH_UP_COUNT);
  if (code != 0) pump_peer_close(peer);
  listener->is_behind = listener->from < peer->node->feed.next;
  if (!listener->is_behind) listener->missed = 0;
  if (listener->is_behind && !at.is_held_back) pump_node_schedule(peer->node, peer);
}

int64_t pump_feed_needs(const pump_node *node) {
  int64_t needed = node->feed.next;
  for (const pump_peer *peer = node->peers; peer; peer = peer->next) {
    if (peer->listener.is_behind && peer->listener.from < needed) needed = peer->listener.from;
  }
  return needed;
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void refuse(pump_peer *peer, const pump_request *request) {
  PumpTcp__SubscriptionDropped dropped = PUMP_TCP__SUBSCRIPTION_DROPPED__INIT;
  dropped.has_reason = true;
  dropped.reason = PUMP_TCP__DROP_REASON__DROP_ACCESS_DENIED;
  pump_answer_with(peer, PUMP_TCP_SUBSCRIPTION_DROPPED, &request->correlation, &dropped.base);
}

static void confirm(pump_peer *peer, const pump_request *request, const topic *to) {
  PumpTcp__SubscriptionConfirmation reply = PUMP_TCP__SUBSCRIPTION_CONFIRMATION__INIT;
  reply.has_last_commit_position = true;
  reply.last_commit_position = pump_store_last_position(peer->node->store);
  if (to) {
    reply.has_last_event_number = true;
    reply.last_event_number = pump_answer_number(
        peer, pump_store_last_number(peer->node->store, (pump_bytes){to->name, to->size}));
  }
  pump_answer_with(peer, PUMP_TCP_SUBSCRIPTION_CONFIRMATION, &request->correlation, &reply.base);
}

/* NULL: it was not to be, and has been answered. */
static pump_subscription *subscribe(pump_peer *peer, const pump_request *request, pump_bytes stream,
                                    bool resolve_links) {
  pump_feed *feed = &peer->node->feed;
  bool is_all = stream.size == 0; /* by its name it is a stream that never has an event */
  if (!pump_node_allows(peer->node, request->who, is_all ? pump_bytes_of("$all") : stream,
                        PUMP_STORE_READ)) {
    refuse(peer, request);
    return NULL;
  }
  if (peer->listener.bytes + request->payload.size > MAX_BYTES) {
    pump_peer_bad_request(peer, &request->correlation,
                          "This connection has too many subscriptions.");
    return NULL;
  }
  pump_subscription *same = find(peer, &request->correlation);
  if (same) leave(same);
  topic *to = is_all ? NULL : use_topic(feed, stream);
  pump_subscription *one = to || is_all ? join(peer, request, to, resolve_links) : NULL;
  if (!one) {
    if (to) release_topic(feed, to);
    pump_peer_close(peer);
    return NULL;
  }
  confirm(peer, request, to);
  return one;
}

void pump_feed_answer_subscribe(pump_peer *peer, const pump_request *request) {
  PumpTcp__SubscribeToStream *asked =
      (PumpTcp__SubscribeToStream *)(void *)pump_tcp_unpack(request->command, request->payload);
  if (!asked) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  subscribe(peer, request, pump_tcp_view(asked->event_stream_id), asked->resolve_link_tos);
  pump_tcp_unpack_free(&asked->base);
}

/* asked and filter are its own from then on. */
static void filter(pump_subscription *one, PumpTcp__FilteredSubscribeToStream *asked,
                   pump_node_filter *filter) {
  pump_listener *listener = &one->peer->listener;
  listener->bytes -= bytes_of(one);
  one->asked = asked;
  one->filter = filter;
  listener->bytes += bytes_of(one);
}

void pump_feed_answer_filtered_subscribe(pump_peer *peer, const pump_request *request) {
  PumpTcp__FilteredSubscribeToStream *asked = NULL;
  pump_node_filter *made = NULL;
  if (peer->node->is_23)
    asked = (PumpTcp__FilteredSubscribeToStream *)(void *)pump_tcp_unpack(request->command,
                                                                          request->payload);
  pump_bytes stream = asked ? pump_tcp_view(asked->event_stream_id) : no_bytes;
  bool is_all = stream.size == 0 || pump_bytes_is(stream, "$all");
  if (!asked || !is_all || pump_node_filter_new(&made, asked->filter) != 0) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    if (asked) pump_tcp_unpack_free(&asked->base);
    return;
  }
  pump_subscription *one = subscribe(peer, request, no_bytes, asked->resolve_link_tos);
  if (one) {
    filter(one, asked, made);
    return;
  }
  pump_node_filter_free(made);
  pump_tcp_unpack_free(&asked->base);
}

/* Of what it never heard a server says nothing. */
void pump_feed_answer_unsubscribe(pump_peer *peer, const pump_request *request) {
  pump_subscription *one = find(peer, &request->correlation);
  if (!one) return;
  leave(one);
  /* Its reason is the default, which is left out. */
  PumpTcp__SubscriptionDropped dropped = PUMP_TCP__SUBSCRIPTION_DROPPED__INIT;
  pump_answer_with(peer, PUMP_TCP_SUBSCRIPTION_DROPPED, &request->correlation, &dropped.base);
}

/* ---- Beginning and end -------------------------------------------------------------------- */

void pump_feed_open(pump_node *node) {
  node->feed.next = pump_store_end_position(node->store);
  if (uv_random(NULL, NULL, &node->feed.seed, sizeof node->feed.seed, 0, NULL) != 0)
    node->feed.seed = (uint64_t)pump_node_time();
}

void pump_feed_close(pump_node *node) {
  pump_table_free(&node->feed.topics);
  pump_table_free(&node->feed.subscriptions);
  pump_table_free(&node->feed.ears);
}

#include "node/group.h"

#include <stdlib.h>
#include <string.h>

/* What was pushed within this time (ms) comes again together, and so in the stream's order; a
 * server's clock is coarser. */
#define TOGETHER 250

/* ---- Queues ------------------------------------------------------------------------------- */

/* before NULL: at the end. */
static void insert(pump_message_queue *queue, pump_message *message, pump_message *before) {
  message->next = before;
  message->previous = before ? before->previous : queue->last;
  *(message->previous ? &message->previous->next : &queue->first) = message;
  *(before ? &before->previous : &queue->last) = message;
  queue->count++;
}

static void take_out(pump_message_queue *queue, pump_message *message) {
  *(message->previous ? &message->previous->next : &queue->first) = message->next;
  *(message->next ? &message->next->previous : &queue->last) = message->previous;
  queue->count--;
}

static pump_message_queue *line_of(pump_group *group, const pump_message *message) {
  return message->is_replayed ? &group->replayed : &group->unsettled;
}

static void line_up(pump_message_queue *line, pump_message *message) {
  message->earlier = line->last;
  *(line->last ? &line->last->later : &line->first) = message;
  line->last = message;
  line->count++;
}

static void step_out(pump_message_queue *line, pump_message *message) {
  *(message->earlier ? &message->earlier->later : &line->first) = message->later;
  *(message->later ? &message->later->earlier : &line->last) = message->earlier;
  line->count--;
}

/* ---- One message -------------------------------------------------------------------------- */

static pump_message *message_of_deadline(pump_heap_node *node) {
  return (pump_message *)(void *)((char *)node - offsetof(pump_message, deadline));
}

static uint64_t hash_of(const pump_group *group, const pump_guid *id) {
  return pump_table_hash(group->seed, id, sizeof *id);
}

static pump_message *find(const pump_group *group, const pump_guid *id) {
  pump_table_link *link = pump_table_first(&group->flying, hash_of(group, id));
  for (; link; link = pump_table_next(link)) {
    pump_message *found = (pump_message *)(void *)link;
    if (memcmp(&found->id, id, sizeof *id) == 0) return found;
  }
  return NULL;
}

/* Nobody waits for its acknowledgement any more. */
static void land(pump_group *group, pump_message *message) {
  take_out(&message->holder->held, message);
  pump_table_remove(&group->flying, &message->by_id);
  pump_heap_remove(&group->deadlines, &message->deadline);
}

static void let_go(pump_group *group, pump_message *message) {
  if (message->holder) pump_strategy_release(&group->strategy, message->holder, message->bucket);
  message->holder = NULL;
}

static void settle(pump_group *group, pump_message *message) {
  switch (message->state) {
  case PUMP_MESSAGE_WAITS: take_out(&group->waiting, message); break;
  case PUMP_MESSAGE_RETRIES: take_out(&group->retrying, message); break;
  case PUMP_MESSAGE_LEAVES: take_out(&group->leaving, message); break;
  case PUMP_MESSAGE_FLIES: land(group, message); break;
  }
  let_go(group, message);
  step_out(line_of(group, message), message);
  free(message);
}

static bool is_again(const pump_message *message) {
  return message && message->state == PUMP_MESSAGE_RETRIES;
}

/* Behind one that stands earlier in the stream; replayed ones may be between it and the next. */
static pump_message *place_behind(const pump_group *group, const pump_message *message,
                                  pump_message *at) {
  while (at && at->is_replayed && (group->is_23 || at->rank <= message->rank))
    at = at->next;
  return at;
}

static pump_message *place_before(const pump_group *group, const pump_message *message,
                                  pump_message *later) {
  while (!group->is_23 && later->previous && later->previous->rank > message->rank)
    later = later->previous;
  return later;
}

/* Before which of those that come again it has its place; NULL: behind them all. It is looked for
 * from their end and, to both sides, among its neighbours in the stream: where many come again the
 * next of them is near, and else the end is. */
static pump_message *place_again(const pump_group *group, const pump_message *message) {
  pump_message *earlier = message->earlier, *later = message->later, *before = NULL;
  for (pump_message *at = group->retrying.last; at; at = at->previous) {
    bool is_apart = group->is_23 && at->is_replayed;
    if (!is_apart && at->rank <= message->rank) return before;
    if (!is_apart) before = at;
    if (!earlier) return place_behind(group, message, group->retrying.first);
    if (is_again(earlier)) return place_behind(group, message, earlier->next);
    if (is_again(later)) return place_before(group, message, later);
    earlier = earlier->earlier;
    later = later ? later->later : NULL;
  }
  return before;
}

static pump_message *place_replayed(const pump_group *group, const pump_message *message) {
  pump_message *before = NULL;
  for (pump_message *at = group->retrying.last; at && at->rank > message->rank; at = at->previous)
    before = at;
  return before;
}

/* Among those that come again: in the order of the stream. Replayed ones stand in it too, but to
 * newer servers, which put them at the end. */
static void queue_again(pump_group *group, pump_message *message) {
  pump_message *before = NULL;
  if (!message->is_replayed)
    before = place_again(group, message);
  else if (!group->is_23)
    before = place_replayed(group, message);
  message->state = PUMP_MESSAGE_RETRIES;
  insert(&group->retrying, message, before);
}

/* ---- Retrying and parking ----------------------------------------------------------------- */

static void come_again(pump_group *group, pump_message *message) {
  let_go(group, message);
  queue_again(group, message);
}

/* Its consumer has no room for another before it is kept for good. */
static void park(pump_group *group, pump_message *message, pump_parking why, pump_bytes words) {
  land(group, message);
  if (group->outside.park(group->outside.ud, message, why, words) != 0) {
    come_again(group, message);
    return;
  }
  message->state = PUMP_MESSAGE_LEAVES;
  insert(&group->leaving, message, NULL);
}

static void retry(pump_group *group, pump_message *message) {
  if (message->retries >= group->settings.max_retries) {
    park(group, message, PUMP_PARKED_AFTER_RETRIES, (pump_bytes){0});
    return;
  }
  land(group, message);
  message->retries++;
  come_again(group, message);
}

/* What its consumer says something of; NULL: nobody has such an event. */
static pump_message *find_answered(const pump_group *group, const pump_guid *id, uint64_t now) {
  pump_message *message = find(group, id);
  pump_timings *timings = message && message->holder ? message->holder->timings : NULL;
  if (timings) pump_timings_add(timings, now - message->pushed_at);
  return message;
}

void pump_group_ack(pump_group *group, const pump_guid *id, uint64_t now) {
  pump_message *message = find_answered(group, id, now);
  if (message) settle(group, message);
}

void pump_group_nak(pump_group *group, const pump_guid *id, pump_nak action, pump_bytes words,
                    uint64_t now) {
  pump_message *message = find_answered(group, id, now);
  if (!message) return;
  switch (action) {
  case PUMP_NAK_RETRY: retry(group, message); break;
  case PUMP_NAK_PARK: park(group, message, PUMP_PARKED_BY_CLIENT, words); break;
  case PUMP_NAK_SKIP: settle(group, message); break;
  }
}

void pump_group_expire(pump_group *group, uint64_t now) {
  pump_heap_node *first = pump_heap_first(&group->deadlines);
  if (!first || first->key + TOGETHER > now) return;
  for (; first && first->key <= now; first = pump_heap_first(&group->deadlines))
    retry(group, message_of_deadline(first));
}

void pump_group_settle(pump_group *group, bool is_kept) {
  for (pump_message *message; (message = group->leaving.first);) {
    if (is_kept) {
      settle(group, message);
      continue;
    }
    take_out(&group->leaving, message);
    come_again(group, message);
  }
}

/* ---- Adding ------------------------------------------------------------------------------- */

static size_t most(int32_t wanted, size_t limit) {
  size_t size = wanted > 0 ? (size_t)wanted : 1;
  return size < limit ? size : limit;
}

/* A server with less buffer than a page reads nothing at all: here it reads smaller pages. */
size_t pump_group_room(const pump_group *group) {
  size_t used = group->waiting.count + group->retrying.count;
  size_t limit = most(group->settings.buffer, PUMP_GROUP_MAX_BUFFER);
  size_t room = limit > used ? limit - used : 0;
  size_t batch = most(group->settings.read_batch, PUMP_GROUP_MAX_BUFFER);
  if (group->unsettled.count >= PUMP_GROUP_MAX_UNSETTLED) return 0;
  return room < batch ? room : batch;
}

size_t pump_group_replay_room(const pump_group *group) {
  size_t limit = most(group->settings.buffer, PUMP_GROUP_MAX_BUFFER);
  size_t room = limit > group->retrying.count ? limit - group->retrying.count : 0;
  int64_t left = group->replay_end - group->replay_next;
  return left < (int64_t)room ? (size_t)(left > 0 ? left : 0) : room;
}

static pump_message *make(pump_group *group, const pump_message *like) {
  pump_message *message = malloc(sizeof *message);
  if (!message) return NULL;
  *message = *like;
  message->by_id.hash = hash_of(group, &message->id);
  line_up(line_of(group, message), message);
  return message;
}

int pump_group_add(pump_group *group, int64_t number, const pump_guid *id, uint64_t hash) {
  pump_message *message =
      make(group,
           &(pump_message){
               .id = *id, .number = number, .rank = number, .bucket = pump_strategy_bucket(hash)});
  if (!message) return PUMP_ENOMEM;
  insert(&group->waiting, message, NULL);
  group->next = number < INT64_MAX ? number + 1 : number;
  group->has_begun = true;
  return 0;
}

int pump_group_add_replayed(pump_group *group, int64_t number, const pump_guid *id, int64_t rank,
                            uint64_t hash) {
  pump_message *message = make(group, &(pump_message){.id = *id,
                                                      .number = number,
                                                      .rank = rank,
                                                      .bucket = pump_strategy_bucket(hash),
                                                      .is_replayed = true});
  if (!message) return PUMP_ENOMEM;
  queue_again(group, message);
  group->replay_next = number + 1;
  return 0;
}

void pump_group_replay(pump_group *group, int64_t first, int64_t end) {
  if (first > group->replay_next) group->replay_next = first;
  if (first > group->truncated) group->truncated = first;
  if (end > group->replay_end) group->replay_end = end;
}

/* ---- Pushing ------------------------------------------------------------------------------ */

typedef struct flight {
  pump_group *group;
  pump_message *message;
  uint64_t now;
  uint64_t deadline; /* 0: none */
} flight;

/* It flies before it is pushed, so that one that was pushed can't be forgotten for want of
 * memory. */
static pump_offer try_push(void *ud, pump_group_consumer *to) {
  flight *it = ud;
  pump_group *group = it->group;
  pump_message *message = it->message;
  if (it->deadline > 0 && pump_heap_add(&group->deadlines, &message->deadline, it->deadline) != 0)
    return PUMP_OFFER_FULL;
  pump_offer answer = PUMP_OFFER_FULL;
  if (pump_table_add(&group->flying, &message->by_id) == 0) {
    answer = group->outside.push(group->outside.ud, to, message);
    if (answer == PUMP_OFFER_TAKEN) {
      message->holder = to;
      message->pushed_at = it->now;
      return answer;
    }
    pump_table_remove(&group->flying, &message->by_id);
  }
  pump_heap_remove(&group->deadlines, &message->deadline);
  return answer;
}

/* False: nobody has room for anything. */
static bool push_from(pump_group *group, pump_message_queue *queue, uint64_t now,
                      uint64_t deadline) {
  for (pump_message *message = queue->first, *next; message; message = next) {
    next = message->next;
    flight it = {group, message, now, deadline};
    switch (pump_strategy_offer(&group->strategy, message->bucket, try_push, &it)) {
    case PUMP_OFFER_TAKEN:
      take_out(queue, message);
      message->state = PUMP_MESSAGE_FLIES;
      insert(&message->holder->held, message, NULL);
      break;
    case PUMP_OFFER_GONE: settle(group, message); break;
    case PUMP_OFFER_LATER: break;
    case PUMP_OFFER_FULL: return false;
    }
  }
  return true;
}

void pump_group_push(pump_group *group, uint64_t now) {
  int32_t timeout = group->settings.message_timeout;
  uint64_t deadline = timeout > 0 ? now + (uint64_t)timeout : 0;
  pump_strategy_begin(&group->strategy);
  if (push_from(group, &group->retrying, now, deadline))
    push_from(group, &group->waiting, now, deadline);
}

/* ---- Consumers ---------------------------------------------------------------------------- */

void pump_group_join(pump_group *group, pump_group_consumer *consumer, size_t allowed) {
  consumer->allowed = allowed < PUMP_GROUP_MAX_IN_FLIGHT ? allowed : PUMP_GROUP_MAX_IN_FLIGHT;
  consumer->in_flight = consumer->buckets = 0;
  consumer->held = (pump_message_queue){0};
  consumer->timings = group->settings.extra_statistics ? pump_timings_new() : NULL;
  pump_strategy_join(&group->strategy, consumer);
}

/* Older servers begin to count anew: an event is not parked because its consumer went away. */
static void give_back(pump_group *group, pump_message *message) {
  if (group->is_23) {
    retry(group, message);
    return;
  }
  land(group, message);
  message->retries = 1;
  come_again(group, message);
}

void pump_group_leave(pump_group *group, pump_group_consumer *consumer) {
  while (consumer->held.first)
    give_back(group, consumer->held.first);
  for (pump_message *at = group->leaving.first; at; at = at->next) {
    if (at->holder == consumer) let_go(group, at);
  }
  pump_strategy_leave(&group->strategy, consumer);
  pump_timings_free(consumer->timings);
  consumer->timings = NULL;
}

/* ---- What is done ------------------------------------------------------------------------- */

int64_t pump_group_done(const pump_group *group) {
  return (group->unsettled.first ? group->unsettled.first->number : group->next) - 1;
}

int64_t pump_group_replay_done(const pump_group *group) {
  return group->replayed.first ? group->replayed.first->number : group->replay_next;
}

bool pump_group_checkpoint_is_due(const pump_group *group, uint64_t now, bool is_tick) {
  const pump_group_rules *settings = &group->settings;
  int64_t progress = pump_group_done(group) - group->checkpoint;
  if (!group->has_begun || progress <= 0) return false;
  if (progress >= settings->checkpoint_max) return true;
  uint64_t after = settings->checkpoint_after > 0 ? (uint64_t)settings->checkpoint_after : 0;
  return is_tick && progress >= settings->checkpoint_min && now >= group->checkpoint_time + after;
}

void pump_group_set_checkpoint(pump_group *group, int64_t number, uint64_t now) {
  group->checkpoint = number;
  group->checkpoint_time = now;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

int pump_group_init(pump_group *group, const pump_group_rules *settings,
                    const pump_group_outside *outside, bool is_23, int64_t next, int64_t checkpoint,
                    uint64_t seed) {
  *group = (pump_group){.settings = *settings,
                        .outside = *outside,
                        .is_23 = is_23,
                        .seed = seed,
                        .next = next,
                        .checkpoint = checkpoint};
  pump_heap_init(&group->deadlines);
  return pump_strategy_init(&group->strategy, settings->strategy);
}

static void free_line(pump_message *message) {
  for (pump_message *next; message; message = next) {
    next = message->later;
    free(message);
  }
}

void pump_group_free(pump_group *group) {
  free_line(group->unsettled.first);
  free_line(group->replayed.first);
  pump_table_free(&group->flying);
  pump_heap_free(&group->deadlines);
  pump_strategy_free(&group->strategy);
}

/* The consumers of chaos_test.c: groups on some of the streams, and one consumer a client in each.
 * They ack, now and then nack or say nothing. Every event comes at least once; and one whose ack the
 * node has taken does not come again as long as the node lives. */
#ifndef SPEC_CHAOS_CONSUMERS_H
#define SPEC_CHAOS_CONSUMERS_H

#include "chaos.h"

enum { GROUPS = 3, CONSUMERS = GROUPS * CLIENTS, MOST_EVENTS = 1 << 20, GIVEN_UP_AFTER = 6000 };

typedef struct chaos_group {
  const char *name, *strategy;
  int stream;
  uint8_t *seen;    /* by event number: how often it came */
  uint16_t *taken;  /* and in which life of the node its ack was taken, 0: in none */
  int32_t *retries; /* and how often it had been sent again by then */
  uint16_t *nacked; /* and in which it was to come again, whatever else was said of it */
  int64_t next;     /* the first that has not come */
} chaos_group;

static chaos_group chaos_groups[GROUPS] = {
    {.name = "round", .strategy = "RoundRobin", .stream = 0},
    {.name = "single", .strategy = "DispatchToSingle", .stream = CLIENTS},
    {.name = "pinned", .strategy = "Pinned", .stream = CLIENTS + 1},
};

typedef struct chaos_ack {
  int64_t number;
  int32_t retries;
  unsigned at; /* when its event came */
} chaos_ack;

typedef struct chaos_consumer {
  pump_client *client;
  pump_consumer *consumer;
  chaos_group *group;
  bool has_begun;
  unsigned losses;
  chaos_ack acks[4000]; /* that were given, and nobody knows yet whether they were taken */
  size_t ack_count, asked_about;
  unsigned asked_losses, asked_life;
  bool is_asking;
} chaos_consumer;

static chaos_consumer chaos_consumers[CONSUMERS];
static struct { unsigned acked, taken, came, again, groups; } chaos_counts;

static void chaos_consume(void *consumer);

/* ---- What the node has taken -------------------------------------------------------------- */

static void chaos_forget_acks(chaos_consumer *self, size_t count) {
  self->ack_count -= count;
  memmove(self->acks, self->acks + count, self->ack_count * sizeof *self->acks);
}

/* The node does things in order: it has taken what went out before this question on the same
 * connection. (A ping would not do, which it answers before anything else.) What was on its way for
 * long may have been given up meanwhile. */
static void chaos_answered(pump_client *client, const pump_result *result, void *ud) {
  chaos_consumer *self = ud;
  (void)client;
  chaos_took(result, "a question");
  bool is_same = self->asked_losses == self->losses && self->asked_life == chaos.lives;
  for (size_t i = 0; is_same && result->status == 0 && i < self->asked_about; i++) {
    const chaos_ack *ack = &self->acks[i];
    if (chaos_now() - ack->at > GIVEN_UP_AFTER / 6) continue;
    if (self->group->nacked[ack->number] == chaos.lives) continue;
    self->group->taken[ack->number] = (uint16_t)chaos.lives;
    self->group->retries[ack->number] = ack->retries;
    chaos_counts.taken++;
  }
  chaos_forget_acks(self, self->asked_about);
  self->asked_about = 0;
  self->is_asking = false;
}

static void chaos_ask(void *ud) {
  chaos_consumer *self = ud;
  pump_call call = {.timeout = PATIENCE};
  if (!chaos.is_ending && pump_client_read_event(self->client, chaos_name(self->group->stream),
                                                 PUMP_END, false, &call, chaos_answered, self) == 0)
    return;
  chaos_forget_acks(self, self->asked_about);
  self->asked_about = 0;
  self->is_asking = false;
}

/* Answers wait for a moment before they go out. */
static void chaos_ask_later(chaos_consumer *self) {
  if (self->is_asking) return;
  self->is_asking = true;
  self->asked_about = self->ack_count;
  self->asked_losses = self->losses;
  self->asked_life = chaos.lives;
  chaos_later(60, chaos_ask, self);
}

/* ---- Events ------------------------------------------------------------------------------- */

/* What was sent before to somebody else may come later: it has been sent again less often. */
static void chaos_came(chaos_consumer *self, const pump_event *event) {
  chaos_group *group = self->group;
  int64_t number = event->record->number;
  if (group->taken[number] != 0 && group->taken[number] == chaos.lives &&
      event->retry_count > group->retries[number])
    chaos_odd("group %s: event %" PRId64 " came for the %d. time, its ack was taken at the %d.",
              group->name, number, event->retry_count + 1, group->retries[number] + 1);
  *(group->seen[number] > 0 ? &chaos_counts.again : &chaos_counts.came) += 1;
  if (group->seen[number] < UINT8_MAX) group->seen[number]++;
  while (group->seen[group->next] > 0)
    group->next++;
}

static void chaos_answer(chaos_consumer *self, const pump_event *event) {
  pump_guid id = pump_event_id(event);
  unsigned what = chaos.is_troubled ? dice(40) : 2;
  if (what == 0) return;
  if (what == 1) {
    self->group->nacked[event->record->number] = (uint16_t)chaos.lives;
    pump_consumer_nack(self->consumer, &id, 1, PUMP_NACK_RETRY, pump_bytes_of("once more"));
    return;
  }
  if (pump_consumer_ack(self->consumer, &id, 1) != 0) return;
  chaos_counts.acked++;
  if (self->ack_count == sizeof self->acks / sizeof *self->acks) return;
  self->acks[self->ack_count++] =
      (chaos_ack){event->record->number, event->retry_count, chaos_now()};
  chaos_ask_later(self);
}

static void chaos_consumed(pump_consumer *consumer, pump_page *page, size_t first, void *ud) {
  chaos_consumer *self = ud;
  self->has_begun = true;
  for (size_t i = first; i < page->count; i++) {
    chaos_came(self, &page->events[i]);
    chaos_answer(self, &page->events[i]);
  }
  pump_consumer_took(consumer, page->count - first);
}

/* Nobody knows of the acks before whether they were taken, nor will. */
static void chaos_lose(chaos_consumer *self) {
  self->losses++;
  self->ack_count = self->asked_about;
}

static void chaos_consumer_lost(pump_consumer *consumer, int code, void *ud) {
  (void)consumer;
  (void)code;
  chaos_lose(ud);
}

static void chaos_consumer_ended(pump_consumer *consumer, const pump_result *result, void *ud) {
  chaos_consumer *self = ud;
  pump_consumer_close(consumer);
  self->consumer = NULL;
  chaos_lose(self);
  if (result->retryable && !self->has_begun)
    chaos_later(dice(50), chaos_consume, self);
  else
    chaos_odd("a consumer ended: %s", result->message);
}

static void chaos_consume(void *ud) {
  static const pump_consumer_events events = {chaos_consumed, NULL, chaos_consumer_lost,
                                              chaos_consumer_ended};
  chaos_consumer *self = ud;
  pump_call call = {.timeout = PATIENCE};
  self->has_begun = false;
  int code = pump_client_consume(&self->consumer, self->client, pump_bytes_of(self->group->name),
                                 chaos_name(self->group->stream), (int32_t)(1 + dice(20)), &call,
                                 &events, self);
  if (code != 0) chaos_odd("a client takes no consumer: %s", pump_error_name(code));
}

/* ---- Beginning and end -------------------------------------------------------------------- */

static void chaos_group_made(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  (void)ud;
  if (result->status != 0) chaos_odd("no group: %s", result->message);
  chaos_counts.groups++;
}

static void chaos_make_groups(void) {
  pump_group_settings settings;
  pump_group_settings_init(&settings);
  memset(&chaos_counts, 0, sizeof chaos_counts);
  settings.from = 0;
  settings.message_timeout = GIVEN_UP_AFTER;
  settings.max_retry_count = INT32_MAX;
  settings.checkpoint_after = 100;
  settings.checkpoint_min_count = 1;
  settings.checkpoint_max_count = 50;
  for (int i = 0; i < GROUPS; i++) {
    chaos_group *group = &chaos_groups[i];
    group->seen = calloc(MOST_EVENTS, sizeof *group->seen);
    group->taken = calloc(MOST_EVENTS, sizeof *group->taken);
    group->retries = calloc(MOST_EVENTS, sizeof *group->retries);
    group->nacked = calloc(MOST_EVENTS, sizeof *group->nacked);
    group->next = 0;
    settings.strategy = group->strategy;
    if (!group->seen || !group->taken || !group->retries || !group->nacked ||
        pump_client_create_group(chaos.clients[0], pump_bytes_of(group->name),
                                 chaos_name(group->stream), &settings, NULL, chaos_group_made,
                                 NULL) != 0)
      abort();
  }
}

static bool chaos_groups_are_made(void) {
  return chaos_counts.groups == GROUPS;
}

static void chaos_start_consumers(void) {
  for (int i = 0; i < CONSUMERS; i++) {
    chaos_consumer *self = &chaos_consumers[i];
    memset(self, 0, sizeof *self);
    self->client = chaos.clients[i % CLIENTS];
    self->group = &chaos_groups[i / CLIENTS];
    chaos_consume(self);
  }
}

static bool chaos_consumers_are_at(const int64_t *counts) {
  for (int i = 0; i < GROUPS; i++)
    if (chaos_groups[i].next < counts[chaos_groups[i].stream]) return false;
  return true;
}

static int64_t chaos_consumers_lack(const int64_t *counts) {
  int64_t sum = 0;
  for (int i = 0; i < GROUPS; i++)
    sum += counts[chaos_groups[i].stream] - chaos_groups[i].next;
  return sum;
}

/* For those who want to know why they are not. */
static void chaos_tell_consumers(const int64_t *counts) {
  for (int i = 0; i < GROUPS; i++)
    printf("# group %s: %" PRId64 " of %" PRId64 " came\n", chaos_groups[i].name,
           chaos_groups[i].next, counts[chaos_groups[i].stream]);
  for (int i = 0; i < CONSUMERS; i++) {
    const chaos_consumer *self = &chaos_consumers[i];
    printf("# consumer %d of %s: state %d, client's %d\n", i, self->group->name,
           self->consumer ? pump_consumer_state(self->consumer) : -1,
           pump_client_state(self->client));
  }
}

static void chaos_stop_consumers(void) {
  for (int i = 0; i < CONSUMERS; i++) {
    if (chaos_consumers[i].consumer) pump_consumer_close(chaos_consumers[i].consumer);
    chaos_consumers[i].consumer = NULL;
  }
  for (int i = 0; i < GROUPS; i++) {
    free(chaos_groups[i].seen);
    free(chaos_groups[i].taken);
    free(chaos_groups[i].retries);
    free(chaos_groups[i].nacked);
  }
}

#endif

/* The subscribers of chaos_test.c: on streams and on $all, quick and slow, some that leave off and
 * begin again behind what they had; and volatile ones. Each knows which event has to be next. */
#ifndef SPEC_CHAOS_READERS_H
#define SPEC_CHAOS_READERS_H

#include "chaos.h"

enum { READERS = 5 * CLIENTS };

typedef struct chaos_reader {
  pump_client *client;
  pump_subscription *subscription;
  int stream; /* -1: $all */
  bool is_volatile, is_slow, is_fickle;
  bool may_jump;          /* a gap was told */
  bool has_begun;         /* something came to this subscription */
  int64_t next[STREAMS];  /* the number that is next in each; -1: any */
  pump_position position; /* of the last event */
  size_t untaken;
  bool is_taking;
} chaos_reader;

static chaos_reader chaos_readers[READERS];

static void chaos_subscribe(void *reader);

static void chaos_take(void *ud) {
  chaos_reader *self = ud;
  size_t some = self->untaken < 40 ? self->untaken : 40;
  self->is_taking = false;
  if (!self->subscription || some == 0) return;
  self->untaken -= some;
  pump_subscription_took(self->subscription, some);
  if (self->untaken == 0) return;
  self->is_taking = true;
  chaos_later(dice(8), chaos_take, self);
}

static void chaos_check(chaos_reader *self, const pump_event *event) {
  int stream = event->record ? chaos_stream_of(event->record->stream) : -1;
  if (self->stream < 0) {
    if (event->position.commit < self->position.commit ||
        (event->position.commit == self->position.commit &&
         event->position.prepare <= self->position.prepare))
      chaos_odd("$all: an event at %" PRId64 " behind one at %" PRId64, event->position.commit,
                self->position.commit);
    self->position = event->position;
  }
  if (stream < 0) return;
  int64_t number = event->record->number, wanted = self->next[stream];
  bool is_jump = self->is_volatile && (wanted < 0 || (self->may_jump && number > wanted));
  if (number != wanted && !is_jump)
    chaos_odd("%s%.*s: event %" PRId64 " came, %" PRId64 " is next",
              self->is_volatile  ? "volatile, "
              : self->stream < 0 ? "$all, "
                                 : "",
              (int)event->record->stream.size, event->record->stream.data, number, wanted);
  self->next[stream] = number + 1;
  self->may_jump = false;
  chaos.events++;
}

static void chaos_events(pump_subscription *subscription, pump_page *page, size_t first, void *ud) {
  chaos_reader *self = ud;
  self->has_begun = true;
  for (size_t i = first; i < page->count; i++)
    chaos_check(self, &page->events[i]);
  if (self->is_fickle && chaos.is_troubled && dice(40) == 0) {
    pump_subscription_close(subscription);
    self->subscription = NULL;
    self->untaken = 0;
    chaos.resumed++;
    chaos_later(dice(50), chaos_subscribe, self);
  } else if (self->is_slow && chaos.is_troubled) {
    self->untaken += page->count - first;
    if (self->is_taking) return;
    self->is_taking = true;
    chaos_later(dice(30), chaos_take, self);
  } else {
    pump_subscription_took(subscription, page->count - first);
  }
}

static void chaos_gap(pump_subscription *subscription, int code, void *ud) {
  chaos_reader *self = ud;
  (void)subscription;
  (void)code;
  self->has_begun = true;
  if (!self->is_volatile) chaos_odd("a catch-up subscription tells of a gap");
  self->may_jump = true;
  chaos.gaps++;
}

/* One that has not yet begun may fail as any request. */
static void chaos_ended(pump_subscription *subscription, const pump_result *result, void *ud) {
  chaos_reader *self = ud;
  pump_subscription_close(subscription);
  self->subscription = NULL;
  if (result->retryable && !self->has_begun)
    chaos_later(dice(50), chaos_subscribe, self);
  else
    chaos_odd("a subscription ended: %s", result->message);
}

static void chaos_subscribe(void *ud) {
  static const pump_subscription_events events = {chaos_events, NULL, chaos_gap, chaos_ended, NULL};
  chaos_reader *self = ud;
  pump_call call = {.timeout = PATIENCE};
  self->has_begun = false;
  pump_subscribe subscribe;
  pump_subscribe_init(&subscribe);
  subscribe.is_volatile = self->is_volatile;
  subscribe.after = self->position;
  subscribe.from = self->stream < 0 || self->is_volatile ? 0 : self->next[self->stream];
  subscribe.page_size = (int32_t)(1 + dice(100));
  subscribe.max_untaken = 20 + dice(200);
  subscribe.max_buffered = 10 + dice(100);
  pump_bytes name = self->stream < 0 ? pump_bytes_of("$all") : chaos_name(self->stream);
  int code = pump_client_subscribe(&self->subscription, self->client, name, &subscribe, &call,
                                   &events, self);
  if (code != 0) chaos_odd("a client takes no subscription: %s", pump_error_name(code));
}

static void chaos_start_readers(void) {
  for (int i = 0; i < READERS; i++) {
    int kind = i / CLIENTS;
    chaos_readers[i] = (chaos_reader){.client = chaos.clients[i % CLIENTS],
                                      .stream = kind == 2 ? -1 : (i * 3 + kind) % STREAMS,
                                      .is_volatile = kind == 4,
                                      .is_slow = kind == 1 || i % 3 == 0,
                                      .is_fickle = kind == 3 || i % 5 == 0,
                                      .position = {-1, -1}};
    if (kind == 4) {
      chaos_readers[i].is_fickle = false;
      memset(chaos_readers[i].next, 0xff, sizeof chaos_readers[i].next);
    }
    chaos_subscribe(&chaos_readers[i]);
  }
}

/* Whether every one of them that has a history has seen all of it. */
static bool chaos_readers_are_at(const int64_t *counts) {
  for (int i = 0; i < READERS; i++) {
    const chaos_reader *self = &chaos_readers[i];
    for (int stream = 0; stream < STREAMS && !self->is_volatile; stream++)
      if ((self->stream < 0 || self->stream == stream) && self->next[stream] < counts[stream])
        return false;
  }
  return true;
}

/* For those who want to know why they are not. */
static void chaos_tell_readers(const int64_t *counts) {
  for (int i = 0; i < CLIENTS; i++) {
    pump_stats stats;
    pump_client_stats(chaos.clients[i], &stats);
    printf("# client %d at %s: state %d, %" PRIu64 " in flight, %" PRIu64 " waiting\n", i,
           pump_client_endpoint(chaos.clients[i]), pump_client_state(chaos.clients[i]),
           stats.in_flight, stats.waiting);
  }
  for (int i = 0; i < READERS; i++) {
    const chaos_reader *self = &chaos_readers[i];
    for (int stream = 0; stream < STREAMS && !self->is_volatile; stream++)
      if ((self->stream < 0 || self->stream == stream) && self->next[stream] < counts[stream])
        printf("# subscription %d to %s: %" PRId64 " of %" PRId64 " came, state %d, %zu not taken, "
               "client's state %d\n",
               i, self->stream < 0 ? "$all" : chaos_name(stream).data, self->next[stream],
               counts[stream],
               self->subscription ? pump_subscription_state(self->subscription) : -1, self->untaken,
               pump_client_state(self->client));
  }
}

static void chaos_stop_readers(void) {
  for (int i = 0; i < READERS; i++) {
    if (chaos_readers[i].subscription) pump_subscription_close(chaos_readers[i].subscription);
    chaos_readers[i].subscription = NULL;
  }
}

#endif

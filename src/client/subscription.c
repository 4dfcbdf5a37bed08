/* A subscription of a client: does what its machine (conversation/catch_up.h) says, and tells the
 * machine what came of it. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "client/client.h"
#include "conversation/catch_up.h"

struct pump_subscription {
  pump_follower follower; /* first: a pump_follower * of this class is a pump_subscription * */
  pump_catch_up *machine;
  pump_conversation *reading; /* a page that was asked for */
  pump_subscription_events events;
  void *ud;
  bool is_all;
  pump_bytes *filter; /* texts of the request's filter, and behind them what they hold */
};

static pump_subscription *of(pump_follower *follower) {
  return (pump_subscription *)(void *)follower;
}

/* ---- What comes of what was asked --------------------------------------------------------- */

/* How much of its time an answer took, in per cent. */
static unsigned share_of_time(const pump_client *client, const pump_follower *follower,
                              const pump_result *result) {
  uint64_t timeout = follower->timeout ? follower->timeout : client->options.timeout;
  uint64_t share = result->elapsed_ns / 10000 / timeout;
  return share < 100 ? (unsigned)share : 100;
}

static void on_page(pump_client *client, const pump_result *result, void *ud) {
  pump_subscription *self = of(ud);
  self->reading = NULL;
  pump_follower_begin(&self->follower);
  self->follower.why = result;
  if (result->status == 0)
    pump_catch_up_read(self->machine, pump_page_ref(result->page),
                       share_of_time(client, &self->follower, result));
  else
    pump_catch_up_not_read(self->machine, result->status, result->retryable);
  pump_follower_end(&self->follower);
}

static void confirmed(pump_follower *self, const pump_result *result) {
  pump_catch_up_confirmed(of(self)->machine, result->last_event_number, result->position.commit);
}

static void pushed(pump_follower *self, pump_page *page) {
  pump_catch_up_pushed(of(self)->machine, page);
}

static void dropped(pump_follower *self, const pump_result *result) {
  pump_catch_up_dropped(of(self)->machine, result->status, result->retryable);
}

static void lost(pump_follower *follower) {
  pump_subscription *self = of(follower);
  pump_client_withdraw(follower->client, self->reading);
  self->reading = NULL;
  pump_catch_up_lost(self->machine, PUMP_ECLOSED);
}

static void found(pump_follower *self) {
  pump_catch_up_found(of(self)->machine);
}

static void ended(pump_follower *follower, const pump_result *result) {
  pump_subscription *self = of(follower);
  self->events.ended(self, result, self->ud);
}

static void release(pump_follower *follower) {
  pump_catch_up_free(of(follower)->machine);
  free(of(follower)->filter);
  pump_follower_free(follower);
}

/* ---- Steps -------------------------------------------------------------------------------- */

static int read_page(pump_subscription *self, const pump_step *step) {
  pump_request request = self->follower.request;
  request.kind = self->is_all ? PUMP_READ_ALL : PUMP_READ_STREAM;
  request.number = step->number;
  request.position = step->position;
  request.max_count = (int32_t)step->count;
  return pump_follower_ask(&self->follower, &self->reading, &request, step->pause, on_page);
}

static void deliver(pump_subscription *self, const pump_step *step) {
  self->events.events(self, step->page, step->first, self->ud);
  pump_page_unref(step->page);
}

static bool do_step(pump_follower *follower) {
  pump_subscription *self = of(follower);
  pump_step step = pump_catch_up_next(self->machine);
  int code = 0;
  switch (step.kind) {
  case PUMP_STEP_WAIT: return false;
  case PUMP_STEP_READ: code = read_page(self, &step); break;
  case PUMP_STEP_SUBSCRIBE:
    code = pump_follower_subscribe(follower, PUMP_SUBSCRIBE, step.pause);
    break;
  case PUMP_STEP_UNSUBSCRIBE: pump_follower_unsubscribe(follower); break;
  case PUMP_STEP_DELIVER: deliver(self, &step); break;
  case PUMP_STEP_TELL_LIVE:
    if (self->events.live) self->events.live(self, self->ud);
    break;
  case PUMP_STEP_TELL_CHECKPOINT:
    if (self->events.checkpoint) self->events.checkpoint(self, step.position, self->ud);
    break;
  case PUMP_STEP_TELL_GAP:
    if (self->events.gap) self->events.gap(self, step.code, self->ud);
    break;
  default: pump_follower_fail(follower, step.code, NULL); break;
  }
  if (code != 0) pump_follower_fail(follower, code, NULL);
  return true;
}

/* ---- What programs call ------------------------------------------------------------------- */

void pump_subscribe_init(pump_subscribe *subscribe) {
  *subscribe = (pump_subscribe){.after = {-1, -1},
                                .resolve_links = true,
                                .page_size = 500,
                                .max_untaken = 1000,
                                .max_buffered = 1000};
}

static bool check(const pump_subscribe *subscribe, const pump_subscription_events *events) {
  return events->events && events->ended && subscribe->from >= PUMP_END &&
         subscribe->page_size >= 1 && subscribe->page_size <= PUMP_MAX_PAGE &&
         subscribe->max_untaken >= 1;
}

static const pump_follower_class class = {confirmed, pushed, dropped, do_step, lost,
                                          found,     NULL,   ended,   release};

static int copy_filter(pump_subscription *self, const pump_filter *filter) {
  size_t size = filter->count * sizeof *self->filter;
  for (size_t i = 0; i < filter->count; i++)
    size += filter->texts[i].size;
  if (filter->count == 0) return 0;
  self->filter = malloc(size);
  if (!self->filter) return PUMP_ENOMEM;
  char *to = (char *)(self->filter + filter->count);
  for (size_t i = 0; i < filter->count; to += filter->texts[i++].size) {
    self->filter[i] = (pump_bytes){to, filter->texts[i].size};
    if (filter->texts[i].size > 0) memcpy(to, filter->texts[i].data, filter->texts[i].size);
  }
  self->follower.request.filter = *filter;
  self->follower.request.filter.texts = self->filter;
  return 0;
}

static int make_machine(pump_subscription *self, const pump_subscribe *subscribe) {
  pump_catch_up_options options = {
      .is_all = self->is_all,
      .is_volatile = subscribe->is_volatile,
      .is_from_now = self->is_all ? subscribe->is_from_now : subscribe->from == PUMP_END,
      .is_filtered = subscribe->filter.count > 0,
      .from = subscribe->from < 0 ? 0 : subscribe->from,
      .after = subscribe->after,
      .page_size = (size_t)subscribe->page_size,
      .max_untaken = subscribe->max_untaken,
      .max_buffered = subscribe->max_buffered,
  };
  return pump_catch_up_new(&self->machine, &options);
}

int pump_client_subscribe(pump_subscription **out, pump_client *client, pump_bytes stream,
                          const pump_subscribe *subscribe, const pump_call *call,
                          const pump_subscription_events *events, void *ud) {
  *out = NULL;
  if (!check(subscribe, events)) return PUMP_EINVALID;
  int code = pump_follower_check(client);
  if (code != 0) return code;
  bool is_all = stream.size == 0 || pump_bytes_is(stream, "$all");
  if (!is_all && subscribe->filter.count > 0) return PUMP_EINVALID;
  if (is_all) stream = (pump_bytes){0}; /* the protocol's name of it is none */
  pump_follower *follower =
      pump_follower_new(sizeof(pump_subscription), &class, stream, (pump_bytes){0}, call);
  if (!follower) return PUMP_ENOMEM;
  pump_subscription *self = of(follower);
  self->is_all = is_all;
  self->events = *events;
  self->ud = ud;
  follower->request.resolve_links = subscribe->resolve_links;
  code = copy_filter(self, &subscribe->filter);
  if (code == 0) code = make_machine(self, subscribe);
  if (code != 0) {
    release(follower);
    return code;
  }
  pump_follower_join(follower, client);
  *out = self;
  return 0;
}

void pump_subscription_took(pump_subscription *self, size_t count) {
  pump_catch_up_took(self->machine, count);
  pump_follower_wake(&self->follower);
}

int pump_subscription_state(const pump_subscription *self) {
  return self->follower.client ? pump_catch_up_state(self->machine) : PUMP_SUBSCRIPTION_CLOSED;
}

int64_t pump_subscription_number(const pump_subscription *self) {
  return pump_catch_up_number(self->machine);
}

pump_position pump_subscription_position(const pump_subscription *self) {
  return pump_catch_up_position(self->machine);
}

void pump_subscription_close(pump_subscription *self) {
  pump_follower_close(&self->follower);
}

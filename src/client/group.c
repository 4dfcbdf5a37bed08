/* A consumer of a group: does what its machine (conversation/consumer.h) says, and tells the
 * machine what came of it. */
#include <stdlib.h>

#include "client/client.h"
#include "conversation/consumer.h"

#define DEFAULT_BUFFER_SIZE 10
#define LONGEST_WHY         ((size_t)64 * 1024)

struct pump_consumer {
  pump_follower follower; /* first: a pump_follower * of this class is a pump_consumer * */
  pump_consumer_machine *machine;
  pump_consumer_events events;
  void *ud;
};

static pump_consumer *of(pump_follower *follower) {
  return (pump_consumer *)(void *)follower;
}

/* ---- What happens ------------------------------------------------------------------------- */

static void confirmed(pump_follower *self, const pump_result *result) {
  (void)result;
  pump_consumer_machine_confirmed(of(self)->machine);
}

static void pushed(pump_follower *self, pump_page *page) {
  pump_consumer_machine_pushed(of(self)->machine, page);
}

static void dropped(pump_follower *self, const pump_result *result) {
  pump_consumer_machine_dropped(of(self)->machine, result->status, result->retryable);
}

static void lost(pump_follower *self) {
  pump_consumer_machine_lost(of(self)->machine, PUMP_ECLOSED);
}

static void found(pump_follower *self) {
  pump_consumer_machine_found(of(self)->machine);
}

static void ended(pump_follower *follower, const pump_result *result) {
  pump_consumer *self = of(follower);
  self->events.ended(self, result, self->ud);
}

static void release(pump_follower *follower) {
  pump_consumer_machine_free(of(follower)->machine);
  pump_follower_free(follower);
}

/* ---- Steps -------------------------------------------------------------------------------- */

/* Where the subscription has just ended nobody waits for it: the events come again. */
static int answer(pump_consumer *self, const pump_answer *given) {
  pump_follower *follower = &self->follower;
  if (!follower->subscribing) return 0;
  return pump_session_answer(follower->client->session, follower->subscribing, given);
}

/* Into the output, which the connection writes even when it is closed right away. */
static void settle(pump_follower *follower) {
  pump_consumer *self = of(follower);
  pump_answer given;
  if (!follower->subscribing || !follower->client->session) return;
  while (pump_consumer_machine_settle(self->machine, &given) && answer(self, &given) == 0)
    ;
}

static void deliver(pump_consumer *self, const pump_step *step) {
  self->events.events(self, step->page, step->first, self->ud);
  pump_page_unref(step->page);
}

static bool do_step(pump_follower *follower) {
  pump_consumer *self = of(follower);
  pump_step step = pump_consumer_machine_next(self->machine, pump_client_now());
  int code = 0;
  switch (step.kind) {
  case PUMP_STEP_WAIT:
    /* Without memory for a time they go now. */
    if (pump_follower_due(follower, pump_consumer_machine_due(self->machine)) != 0)
      settle(follower);
    return false;
  case PUMP_STEP_SUBSCRIBE:
    code = pump_follower_subscribe(follower, PUMP_CONSUME, step.pause);
    break;
  case PUMP_STEP_UNSUBSCRIBE: pump_follower_unsubscribe(follower); break;
  case PUMP_STEP_DELIVER: deliver(self, &step); break;
  case PUMP_STEP_TELL_LIVE:
    if (self->events.live) self->events.live(self, self->ud);
    break;
  case PUMP_STEP_TELL_LOST:
    if (self->events.lost) self->events.lost(self, step.code, self->ud);
    break;
  case PUMP_STEP_ANSWER: code = answer(self, &step.answer); break;
  default: pump_follower_fail(follower, step.code, NULL); break;
  }
  if (code != 0) pump_follower_fail(follower, code, NULL);
  return true;
}

/* ---- What programs call ------------------------------------------------------------------- */

static const pump_follower_class class = {confirmed, pushed, dropped, do_step, lost,
                                          found,     settle, ended,   release};

int pump_client_consume(pump_consumer **out, pump_client *client, pump_bytes group,
                        pump_bytes stream, int32_t buffer_size, const pump_call *call,
                        const pump_consumer_events *events, void *ud) {
  *out = NULL;
  if (buffer_size == 0) buffer_size = DEFAULT_BUFFER_SIZE;
  if (!events->events || !events->ended || buffer_size < 0 || group.size == 0 || stream.size == 0)
    return PUMP_EINVALID;
  int code = pump_follower_check(client);
  if (code != 0) return code;
  pump_follower *follower = pump_follower_new(sizeof(pump_consumer), &class, stream, group, call);
  if (!follower) return PUMP_ENOMEM;
  pump_consumer *self = of(follower);
  self->events = *events;
  self->ud = ud;
  follower->request.max_count = buffer_size;
  code = pump_consumer_machine_new(&self->machine, (size_t)buffer_size);
  if (code != 0) {
    release(follower);
    return code;
  }
  pump_follower_join(follower, client);
  *out = self;
  return 0;
}

void pump_consumer_took(pump_consumer *self, size_t count) {
  pump_consumer_machine_took(self->machine, count);
  pump_follower_wake(&self->follower);
}

static int say(pump_consumer *self, const pump_answer *given) {
  if (!self->follower.client) return PUMP_ECLOSED;
  int code = pump_consumer_machine_answer(self->machine, given, pump_client_now());
  pump_follower_wake(&self->follower);
  return code;
}

int pump_consumer_ack(pump_consumer *self, const pump_guid *ids, size_t count) {
  return say(self, &(pump_answer){.ids = ids, .count = count});
}

int pump_consumer_nack(pump_consumer *self, const pump_guid *ids, size_t count, int action,
                       pump_bytes why) {
  if (action < PUMP_NACK_PARK || action > PUMP_NACK_STOP) return PUMP_EINVALID;
  if (why.size > LONGEST_WHY) return PUMP_ETOOLARGE;
  return say(self, &(pump_answer){action, why, ids, count});
}

int pump_consumer_state(const pump_consumer *self) {
  return self->follower.client ? pump_consumer_machine_state(self->machine)
                               : PUMP_SUBSCRIPTION_CLOSED;
}

void pump_consumer_close(pump_consumer *self) {
  pump_follower_close(&self->follower);
}

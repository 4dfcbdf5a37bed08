/* A subscription of a client: does what its machine (conversation/catch_up.h) says, and tells the
 * machine what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "client/client.h"
#include "conversation/catch_up.h"

struct pump_subscription {
  pump_client *client;      /* NULL once it has ended */
  pump_subscription *next;  /* in the client's list */
  pump_subscription **link; /* what points to it there */
  pump_subscription *next_ready;
  pump_catch_up *machine;
  pump_conversation *reading;     /* a page that was asked for */
  pump_conversation *subscribing; /* from asking to the end of the subscription */
  pump_subscription_events events;
  void *ud;
  pump_request request; /* what every request of it has; its texts stand behind this struct */
  uint64_t timeout;
  const pump_result *why; /* while an answer is looked at: what it was */
  bool is_all;
  bool is_ready;  /* in the client's list of those */
  bool is_busy;   /* it is doing steps, in which it calls back */
  bool is_closed; /* by the program; freed as soon as nobody looks at it */
};

/* ---- Its end ------------------------------------------------------------------------------ */

static void free_closed(pump_subscription *self) {
  if (!self->is_closed || self->is_busy || self->is_ready) return;
  pump_catch_up_free(self->machine);
  free(self);
}

static void withdraw_all(pump_subscription *self) {
  pump_client_withdraw(self->client, self->reading);
  pump_client_withdraw(self->client, self->subscribing);
  self->reading = self->subscribing = NULL;
}

static void leave_client(pump_subscription *self) {
  if (!self->client) return;
  withdraw_all(self);
  *self->link = self->next;
  if (self->next) self->next->link = self->link;
  self->client = NULL;
}

static void end(pump_subscription *self, const pump_result *result) {
  leave_client(self);
  if (!self->is_closed) self->events.ended(self, result, self->ud);
}

/* The words of the answer that ended it, or the code's own. */
static void end_with(pump_subscription *self, int code, const char *message) {
  char words[400];
  pump_result result = {.status = code, .current_version = PUMP_UNKNOWN, .message = words};
  if (self->why && self->why->status == code) {
    end(self, self->why);
    return;
  }
  pump_bytes stream = self->is_all ? pump_bytes_of("$all") : self->request.stream;
  int size = stream.size < 200 ? (int)stream.size : 200;
  if (message)
    snprintf(words, sizeof words, "%s", message);
  else
    snprintf(words, sizeof words, "%s: stream \"%.*s\"", pump_error_sentence(code), size,
             stream.data);
  result.retryable = code == PUMP_ECLOSED || code == PUMP_EDROPPED;
  end(self, &result);
}

/* ---- What comes of what was asked --------------------------------------------------------- */

static bool do_step(pump_subscription *self);

/* A callback may close it, or the client: then the rest is nobody's concern. */
static void do_steps(pump_subscription *self) {
  while (!self->is_closed && self->client && do_step(self))
    ;
}

static void on_page(pump_client *client, const pump_result *result, void *ud) {
  pump_subscription *self = ud;
  (void)client;
  self->reading = NULL;
  self->is_busy = true;
  self->why = result;
  if (result->status == 0)
    pump_catch_up_read(self->machine, pump_page_ref(result->page));
  else
    pump_catch_up_not_read(self->machine, result->status, result->retryable);
  do_steps(self);
  self->why = NULL;
  self->is_busy = false;
  free_closed(self);
}

/* Its confirmation, what was pushed and its end may have come at once. Each page is delivered
 * before the next one is looked at: what fits into the socket's buffer is not too much for ours. */
static void on_subscription(pump_client *client, const pump_result *result, void *ud) {
  pump_subscription *self = ud;
  pump_conversation *conversation = self->subscribing;
  bool is_over = conversation->decision == PUMP_DONE;
  pump_page *page;
  (void)client;
  if (is_over) self->subscribing = NULL; /* the client frees it */
  self->is_busy = true;
  if (conversation->was_confirmed) {
    conversation->was_confirmed = false;
    pump_catch_up_confirmed(self->machine, result->last_event_number, result->position.commit);
    do_steps(self);
  }
  while (!self->is_closed && (is_over || self->subscribing == conversation) &&
         (page = pump_conversation_pushed(conversation))) {
    pump_catch_up_pushed(self->machine, page);
    do_steps(self);
  }
  if (is_over) {
    self->why = result;
    pump_catch_up_dropped(self->machine, result->status, result->retryable);
    do_steps(self);
    self->why = NULL;
  }
  self->is_busy = false;
  free_closed(self);
}

/* ---- Steps -------------------------------------------------------------------------------- */

static int ask(pump_subscription *self, pump_conversation **place, const pump_request *request,
               uint64_t pause, pump_result_cb cb) {
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, request);
  if (code != 0) return code;
  code = pump_client_ask_later(self->client, conversation, pause, self->timeout, cb, self);
  if (code == 0) *place = conversation;
  return code;
}

static int read_page(pump_subscription *self, const pump_step *step) {
  pump_request request = self->request;
  request.kind = self->is_all ? PUMP_READ_ALL : PUMP_READ_STREAM;
  request.number = step->number;
  request.position = step->position;
  request.max_count = (int32_t)step->count;
  return ask(self, &self->reading, &request, step->pause, on_page);
}

static int subscribe(pump_subscription *self, const pump_step *step) {
  pump_request request = self->request;
  request.kind = PUMP_SUBSCRIBE;
  return ask(self, &self->subscribing, &request, step->pause, on_subscription);
}

static void deliver(pump_subscription *self, const pump_step *step) {
  self->events.events(self, step->page, step->first, self->ud);
  pump_page_unref(step->page);
}

/* False when there is nothing to do. */
static bool do_step(pump_subscription *self) {
  pump_step step = pump_catch_up_next(self->machine);
  int code = 0;
  switch (step.kind) {
  case PUMP_STEP_WAIT: return false;
  case PUMP_STEP_READ: code = read_page(self, &step); break;
  case PUMP_STEP_SUBSCRIBE: code = subscribe(self, &step); break;
  case PUMP_STEP_UNSUBSCRIBE:
    pump_client_withdraw(self->client, self->subscribing);
    self->subscribing = NULL;
    break;
  case PUMP_STEP_DELIVER: deliver(self, &step); break;
  case PUMP_STEP_TELL_LIVE:
    if (self->events.live) self->events.live(self, self->ud);
    break;
  case PUMP_STEP_TELL_GAP:
    if (self->events.gap) self->events.gap(self, step.code, self->ud);
    break;
  case PUMP_STEP_FAIL: end_with(self, step.code, NULL); break;
  }
  if (code != 0) end_with(self, code, NULL);
  return true;
}

/* ---- All of a client ---------------------------------------------------------------------- */

static void be_ready(pump_subscription *self) {
  if (!self->client || self->is_ready || self->is_busy) return;
  self->is_ready = true;
  self->next_ready = self->client->ready;
  self->client->ready = self;
  pump_client_flush_soon(self->client);
}

static void not_ready(pump_client *client, bool go_on) {
  pump_subscription *self = client->ready;
  client->ready = NULL;
  while (self) {
    pump_subscription *next = self->next_ready;
    self->is_ready = false;
    self->is_busy = true;
    if (go_on) do_steps(self);
    self->is_busy = false;
    free_closed(self);
    self = next;
  }
}

void pump_subscriptions_go_on(pump_client *client) {
  not_ready(client, true);
}

void pump_subscriptions_lost(pump_client *client) {
  for (pump_subscription *self = client->subscriptions; self; self = self->next) {
    withdraw_all(self);
    pump_catch_up_lost(self->machine, PUMP_ECLOSED);
  }
}

void pump_subscriptions_found(pump_client *client) {
  for (pump_subscription *self = client->subscriptions; self; self = self->next) {
    pump_catch_up_found(self->machine);
    be_ready(self);
  }
}

void pump_subscriptions_lose(pump_client *client) {
  not_ready(client, false);
  pump_subscriptions_lost(client);
  client->lost = client->subscriptions;
  client->subscriptions = NULL;
  if (client->lost) client->lost->link = &client->lost;
}

void pump_subscriptions_end(pump_client *client, const char *message) {
  pump_subscription *self;
  while ((self = client->lost)) {
    self->is_busy = true;
    end_with(self, PUMP_ECLOSED, message ? message : pump_error_sentence(PUMP_ECLOSED));
    self->is_busy = false;
    free_closed(self);
  }
}

/* ---- What programs call ------------------------------------------------------------------- */

void pump_subscribe_init(pump_subscribe *subscribe) {
  *subscribe = (pump_subscribe){.after = {-1, -1},
                                .resolve_links = true,
                                .page_size = 500,
                                .max_untaken = 1000,
                                .max_buffered = 1000};
}

static bool check(const pump_client *client, const pump_subscribe *subscribe,
                  const pump_subscription_events *events) {
  return events->events && events->ended && !client->is_closing && subscribe->from >= PUMP_END &&
         subscribe->page_size >= 1 && subscribe->page_size <= PUMP_MAX_PAGE &&
         subscribe->max_untaken >= 1;
}

static pump_bytes put(char **to, pump_bytes text) {
  if (!text.data) return text;
  pump_bytes copy = {*to, text.size};
  if (text.size > 0) memcpy(*to, text.data, text.size);
  *to += text.size;
  return copy;
}

static pump_subscription *allocate(pump_bytes stream, const pump_call *call) {
  size_t size = stream.size + call->username.size + call->password.size;
  pump_subscription *self = malloc(sizeof *self + size);
  if (!self) return NULL;
  char *to = (char *)(self + 1);
  *self = (pump_subscription){.timeout = call->timeout};
  self->request.stream = put(&to, stream);
  self->request.username = put(&to, call->username);
  self->request.password = put(&to, call->password);
  if (call->username.data && !call->password.data) self->request.password = pump_bytes_of("");
  self->request.require_leader = call->require_leader;
  return self;
}

static int make_machine(pump_subscription *self, const pump_subscribe *subscribe) {
  pump_catch_up_options options = {
      .is_all = self->is_all,
      .is_volatile = subscribe->is_volatile,
      .is_from_now = self->is_all ? subscribe->is_from_now : subscribe->from == PUMP_END,
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
  static const pump_call no_call;
  *out = NULL;
  if (!check(client, subscribe, events)) return PUMP_EINVALID;
  if (!pump_client_is_open(client)) return PUMP_ECLOSED;
  bool is_all = stream.size == 0 || pump_bytes_is(stream, "$all");
  if (is_all) stream = (pump_bytes){0}; /* the protocol's name of it is none */
  pump_subscription *self = allocate(stream, call ? call : &no_call);
  if (!self) return PUMP_ENOMEM;
  self->is_all = is_all;
  self->request.resolve_links = subscribe->resolve_links;
  self->events = *events;
  self->ud = ud;
  int code = make_machine(self, subscribe);
  if (code != 0) {
    free(self);
    return code;
  }
  self->client = client;
  self->next = client->subscriptions;
  self->link = &client->subscriptions;
  if (self->next) self->next->link = &self->next;
  client->subscriptions = self;
  be_ready(self);
  *out = self;
  return 0;
}

void pump_subscription_took(pump_subscription *self, size_t count) {
  pump_catch_up_took(self->machine, count);
  be_ready(self);
}

int pump_subscription_state(const pump_subscription *self) {
  return self->client ? pump_catch_up_state(self->machine) : PUMP_SUBSCRIPTION_CLOSED;
}

int64_t pump_subscription_number(const pump_subscription *self) {
  return pump_catch_up_number(self->machine);
}

pump_position pump_subscription_position(const pump_subscription *self) {
  return pump_catch_up_position(self->machine);
}

void pump_subscription_close(pump_subscription *self) {
  if (self->is_closed) return;
  self->is_closed = true;
  if (self->client) pump_client_flush_soon(self->client); /* the unsubscription goes out */
  leave_client(self);
  free_closed(self);
}

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

/* ---- Steps -------------------------------------------------------------------------------- */

static void go_on(pump_subscription *self);

static void on_page(pump_client *client, const pump_result *result, void *ud) {
  pump_subscription *self = ud;
  (void)client;
  self->reading = NULL;
  self->why = result;
  if (result->status == 0)
    pump_catch_up_read(self->machine, pump_page_ref(result->page));
  else
    pump_catch_up_not_read(self->machine, result->status, result->retryable);
  go_on(self);
}

/* Its confirmation, what was pushed, and its end may all have come at once. */
static void on_subscription(pump_client *client, const pump_result *result, void *ud) {
  pump_subscription *self = ud;
  pump_conversation *conversation = self->subscribing;
  pump_page *page;
  (void)client;
  if (conversation->decision == PUMP_DONE) self->subscribing = NULL;
  if (conversation->was_confirmed) {
    conversation->was_confirmed = false;
    pump_catch_up_confirmed(self->machine, result->last_event_number, result->position.commit);
  }
  bool is_over = conversation->decision == PUMP_DONE;
  self->is_busy = true; /* nobody frees it, nor the conversation, in between */
  while ((is_over || self->subscribing == conversation) &&
         (page = pump_conversation_pushed(conversation))) {
    pump_catch_up_pushed(self->machine, page);
    self->is_busy = false;
    self->is_busy = true;
  }
  self->is_busy = false;
  self->why = result;
  if (is_over) pump_catch_up_dropped(self->machine, result->status, result->retryable);
  go_on(self);
}

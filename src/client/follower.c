#include "client/follower.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "client/client.h"

/* ---- Its end ------------------------------------------------------------------------------ */

static void free_closed(pump_follower *self) {
  if (self->is_closed && !self->is_busy && !self->is_ready) self->class->free(self);
}

void pump_follower_unsubscribe(pump_follower *self) {
  pump_client_withdraw(self->client, self->subscribing);
  self->subscribing = NULL;
}

#define of(node) ((pump_follower *)(void *)((char *)(node)-offsetof(pump_follower, by_due)))

static void leave_client(pump_follower *self) {
  if (!self->client) return;
  if (self->class->settle) self->class->settle(self);
  self->class->lost(self);
  pump_heap_remove(&self->client->due, &self->by_due);
  pump_follower_unsubscribe(self);
  *self->link = self->next;
  if (self->next) self->next->link = self->link;
  self->client = NULL;
}

static void end(pump_follower *self, const pump_result *result) {
  leave_client(self);
  if (!self->is_closed) self->class->ended(self, result);
}

void pump_follower_fail(pump_follower *self, int code, const char *message) {
  char words[400];
  pump_result result = {.status = code, .current_version = PUMP_UNKNOWN, .message = words};
  if (self->why && self->why->status == code) {
    end(self, self->why);
    return;
  }
  pump_bytes stream = self->request.stream;
  if (stream.size == 0) stream = pump_bytes_of("$all");
  int size = stream.size < 200 ? (int)stream.size : 200;
  if (message)
    snprintf(words, sizeof words, "%s", message);
  else
    snprintf(words, sizeof words, "%s: stream \"%.*s\"", pump_error_sentence(code), size,
             stream.data);
  result.retryable = code == PUMP_ECLOSED || code == PUMP_EDROPPED;
  end(self, &result);
}

void pump_follower_close(pump_follower *self) {
  if (self->is_closed) return;
  self->is_closed = true;
  if (self->client) pump_client_flush_soon(self->client); /* the unsubscription goes out */
  leave_client(self);
  free_closed(self);
}

/* ---- What comes of what was asked --------------------------------------------------------- */

/* A callback may close it, or the client: then the rest is nobody's concern. */
static void do_steps(pump_follower *self) {
  while (!self->is_closed && self->client && self->class->step(self))
    ;
}

void pump_follower_begin(pump_follower *self) {
  self->is_busy = true;
}

void pump_follower_end(pump_follower *self) {
  do_steps(self);
  self->why = NULL;
  self->is_busy = false;
  free_closed(self);
}

/* Its confirmation, what was pushed and its end may have come at once. Each page is delivered
 * before the next one is looked at: what fits into the socket's buffer is not too much for ours. */
static void on_subscription(pump_client *client, const pump_result *result, void *ud) {
  pump_follower *self = ud;
  pump_conversation *conversation = self->subscribing;
  bool is_over = conversation->decision != PUMP_GO_ON;
  pump_page *page;
  (void)client;
  if (is_over) self->subscribing = NULL; /* the client frees it */
  pump_follower_begin(self);
  if (conversation->was_confirmed) {
    conversation->was_confirmed = false;
    self->class->confirmed(self, result);
    do_steps(self);
  }
  while (!self->is_closed && (is_over || self->subscribing == conversation) &&
         (page = pump_conversation_pushed(conversation))) {
    self->class->pushed(self, page);
    do_steps(self);
  }
  if (is_over) {
    self->why = result;
    self->class->dropped(self, result);
  }
  pump_follower_end(self);
}

/* ---- Asking ------------------------------------------------------------------------------- */

int pump_follower_ask(pump_follower *self, pump_conversation **place, const pump_request *request,
                      uint64_t pause, pump_result_cb cb) {
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, request);
  if (code != 0) return code;
  code = pump_client_ask_later(self->client, conversation, pause, self->timeout, cb, self);
  if (code == 0) *place = conversation;
  return code;
}

int pump_follower_subscribe(pump_follower *self, pump_kind kind, uint64_t pause) {
  pump_request request = self->request;
  request.kind = kind;
  return pump_follower_ask(self, &self->subscribing, &request, pause, on_subscription);
}

/* ---- All of a client ---------------------------------------------------------------------- */

void pump_follower_wake(pump_follower *self) {
  if (!self->client || self->client->is_closing || self->is_ready || self->is_busy) return;
  self->is_ready = true;
  self->next_ready = self->client->ready;
  self->client->ready = self;
  pump_client_flush_soon(self->client);
}

int pump_follower_due(pump_follower *self, uint64_t time) {
  pump_client *client = self->client;
  if (self->by_due.place != 0 && self->by_due.key == time) return 0;
  pump_heap_remove(&client->due, &self->by_due);
  if (time == UINT64_MAX) return 0;
  int code = pump_heap_add(&client->due, &self->by_due, time);
  pump_client_set_timer(client);
  return code;
}

void pump_subscriptions_tick(pump_client *client, uint64_t now) {
  pump_heap_node *node;
  while ((node = pump_heap_first(&client->due)) && node->key <= now) {
    pump_heap_remove(&client->due, node);
    pump_follower_wake(of(node));
  }
}

void pump_subscriptions_settle(pump_client *client) {
  for (pump_follower *self = client->subscriptions; self; self = self->next)
    if (self->class->settle) self->class->settle(self);
}

static void not_ready(pump_client *client, bool go_on) {
  pump_follower *self = client->ready;
  client->ready = NULL;
  while (self) {
    pump_follower *next = self->next_ready;
    self->is_ready = false;
    pump_follower_begin(self);
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
  for (pump_follower *self = client->subscriptions; self; self = self->next) {
    pump_follower_unsubscribe(self);
    self->class->lost(self);
    pump_follower_wake(self);
  }
}

void pump_subscriptions_found(pump_client *client) {
  for (pump_follower *self = client->subscriptions; self; self = self->next) {
    self->class->found(self);
    pump_follower_wake(self);
  }
}

void pump_subscriptions_lose(pump_client *client) {
  pump_subscriptions_lost(client);
  not_ready(client, false);
  client->lost = client->subscriptions;
  client->subscriptions = NULL;
  if (client->lost) client->lost->link = &client->lost;
}

/* As long as nobody connects anew by himself, that is the end of them. */
void pump_subscriptions_end(pump_client *client, const char *message) {
  pump_follower *self;
  while ((self = client->lost)) {
    self->is_busy = true;
    pump_follower_fail(self, PUMP_ECLOSED, message ? message : pump_error_sentence(PUMP_ECLOSED));
    self->is_busy = false;
    free_closed(self);
  }
}

/* ---- Its birth ---------------------------------------------------------------------------- */

static pump_bytes put(char **to, pump_bytes text) {
  if (!text.data) return text;
  pump_bytes copy = {*to, text.size};
  if (text.size > 0) memcpy(*to, text.data, text.size);
  *to += text.size;
  return copy;
}

pump_follower *pump_follower_new(size_t size, const pump_follower_class *class, pump_bytes stream,
                                 pump_bytes group, const pump_call *call) {
  static const pump_call no_call;
  if (!call) call = &no_call;
  size_t texts = stream.size + group.size + call->username.size + call->password.size;
  pump_follower *self = malloc(size + texts);
  if (!self) return NULL;
  memset(self, 0, size);
  char *to = (char *)self + size;
  self->class = class;
  self->timeout = call->timeout;
  self->request.stream = put(&to, stream);
  self->request.group = put(&to, group);
  self->request.username = put(&to, call->username);
  self->request.password = put(&to, call->password);
  self->request.require_leader = call->require_leader;
  return self;
}

void pump_follower_free(pump_follower *self) {
  pump_bytes password = self->request.password;
  if (password.data) explicit_bzero((char *)(uintptr_t)password.data, password.size);
  free(self);
}

int pump_follower_check(const pump_client *client) {
  if (client->is_closing) return PUMP_EINVALID;
  return pump_client_is_open(client) ? 0 : PUMP_ECLOSED;
}

void pump_follower_join(pump_follower *self, pump_client *client) {
  self->client = client;
  self->next = client->subscriptions;
  self->link = &client->subscriptions;
  if (self->next) self->next->link = &self->next;
  client->subscriptions = self;
  pump_follower_wake(self);
}

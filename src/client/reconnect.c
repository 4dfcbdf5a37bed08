#include "client/reconnect.h"

#include <stdio.h>
#include <string.h>

#include "client/client.h"

/* No delay is longer, whatever the options say. */
#define A_DAY ((uint64_t)24 * 60 * 60 * 1000)

/* ---- When --------------------------------------------------------------------------------- */

uint64_t pump_reconnect_limit(const pump_options *options, unsigned attempt) {
  uint64_t most = options->reconnect_max_delay < A_DAY ? options->reconnect_max_delay : A_DAY;
  uint64_t limit = attempt > 0 ? options->reconnect_delay : 0;
  for (unsigned i = 1; i < attempt && limit > 0 && limit < most; i++)
    limit *= 2;
  return limit < most ? limit : most;
}

/* Uniform between nothing and the limit. Without randomness the limit itself will do. */
static uint64_t jitter(uint64_t limit) {
  uint64_t random;
  if (limit == 0 || pump_random_take(&random, sizeof random) != 0) return limit;
  return random % (limit + 1);
}

/* An attempt that took long has been a pause itself: delays count from the beginning of one to the
 * beginning of the next. */
static void schedule(pump_client *client, uint64_t from) {
  pump_reconnect *self = &client->reconnect;
  uint64_t now = pump_client_now();
  uint64_t when = from + jitter(pump_reconnect_limit(&client->options, ++self->attempts));
  self->due = when > now ? when : now;
  uint64_t delay = self->due - now;
  pump_client_log(
      client, PUMP_LOG_INFO, &(pump_log_fields){.attempt = self->attempts, .delay = delay},
      "connecting again in %llu ms, attempt %u", (unsigned long long)delay, self->attempts);
  if (self->cb) self->cb(client, self->attempts, delay, self->ud);
  pump_client_set_timer(client);
}

/* ---- Losing ------------------------------------------------------------------------------- */

/* Nobody will answer what was asked. Back in line with it, at the place that it had; or into the
 * list that is returned. */
static pump_conversation *take_back(pump_client *client) {
  pump_conversation *again = NULL, *doomed = NULL, *conversation;
  pump_subscriptions_lost(client);
  while ((conversation = pump_session_waiting(client->session))) {
    bool may = pump_client_may_ask_again(client, conversation) &&
               pump_conversation_may_repeat(conversation);
    pump_conversation **list = may ? &again : &doomed;
    pump_session_forget(client->session, conversation);
    if (!may) pump_line_leave(&client->line, conversation);
    conversation->result.status = 0; /* a reason from before is none for what comes */
    conversation->next = *list;
    *list = conversation;
  }
  pump_line_return(&client->line, again);
  pump_line_wake(&client->line, UINT64_MAX); /* the next server may be ready */
  client->in_flight = 0;
  client->reading = 0;
  return doomed;
}

/* Leaves the connection, and has the stream to the next one or NULL. */
static void leave(pump_client *client, int code, pump_stream *stream) {
  pump_client_log(client, PUMP_LOG_WARNING, &(pump_log_fields){.code = code}, "%s",
                  client->message);
  client->state = PUMP_STATE_RECONNECTING;
  pump_redirect_stop(client);
  pump_cluster_stop(client);
  pump_conversation *doomed = take_back(client);
  pump_client_drop_connection(client);
  client->stream = stream;
  pump_client_fail_list(client, doomed, client->message);
  if (!client->is_closing && client->disconnected_cb)
    client->disconnected_cb(client, code, client->message, client->disconnected_ud);
}

bool pump_reconnect_is_soon(const pump_client *client) {
  const pump_reconnect *self = &client->reconnect;
  return pump_client_now() - self->began < pump_reconnect_limit(&client->options, self->attempts);
}

/* Who lives longer than we would have waited for him has recovered. Where connections come and go
 * all the time, delays stay about as long as they live; only who dies at once is left alone. */
static void count_life(pump_client *client) {
  pump_reconnect *self = &client->reconnect;
  if (!pump_reconnect_is_soon(client))
    self->attempts = 0;
  else if (pump_client_now() - self->began >= client->options.reconnect_delay)
    self->attempts /= 2;
}

bool pump_reconnect_begin(pump_client *client, int code) {
  pump_reconnect *self = &client->reconnect;
  count_life(client);
  if (self->attempts >= client->options.reconnect_attempts) return false;
  leave(client, code, NULL);
  if (!client->is_closing) schedule(client, pump_client_now());
  return true;
}

void pump_reconnect_move(pump_client *client, pump_stream *stream) {
  pump_reconnect *self = &client->reconnect;
  count_life(client);
  self->attempts++;
  self->began = pump_client_now();
  leave(client, PUMP_ENOTLEADER, stream);
  if (!client->is_closing && self->cb) self->cb(client, self->attempts, 0, self->ud);
  if (client->is_closing) return;
  pump_client_limit_connecting(client);
  pump_client_connected(client);
}

/* Credentials that are refused stay so, and an embedded node that is closed does, too. */
static bool is_final(const pump_client *client, int code) {
  return code == PUMP_ENOTAUTHENTICATED || code == PUMP_EACCESS ||
         (code == PUMP_ECLOSED && client->options.open);
}

bool pump_reconnect_again(pump_client *client, int code) {
  pump_reconnect *self = &client->reconnect;
  char why[sizeof client->message];
  client->connect_deadline = 0;
  pump_cluster_stop(client);
  pump_client_drop_connection(client);
  if (is_final(client, code)) return false;
  if (self->attempts < client->options.reconnect_attempts) {
    pump_client_log(client, PUMP_LOG_INFO,
                    &(pump_log_fields){.code = code, .attempt = self->attempts}, "%s",
                    client->message);
    schedule(client, self->began);
    return true;
  }
  snprintf(why, sizeof why, "%s", client->message);
  snprintf(client->message, sizeof client->message,
           "gave up after %u attempts to connect again, the last: %.500s", self->attempts, why);
  return false;
}

void pump_reconnect_attempt(pump_client *client) {
  client->reconnect.due = 0;
  client->reconnect.began = pump_client_now();
  int code = pump_client_seek(client);
  if (code != 0) pump_client_lose(client, code, pump_error_sentence(code));
}

void pump_reconnect_settle(pump_client *client) {
  client->reconnect.began = pump_client_now();
  pump_subscriptions_found(client);
}

/* ---- What programs call ------------------------------------------------------------------- */

void pump_client_on_connected(pump_client *client, pump_connected_cb cb, void *ud) {
  client->connected_cb = cb;
  client->connected_ud = ud;
}

void pump_client_on_disconnected(pump_client *client, pump_disconnected_cb cb, void *ud) {
  client->disconnected_cb = cb;
  client->disconnected_ud = ud;
}

void pump_client_on_closed(pump_client *client, pump_disconnected_cb cb, void *ud) {
  client->closed_cb = cb;
  client->closed_cb_ud = ud;
}

void pump_client_on_reconnecting(pump_client *client, pump_reconnecting_cb cb, void *ud) {
  client->reconnect.cb = cb;
  client->reconnect.ud = ud;
}

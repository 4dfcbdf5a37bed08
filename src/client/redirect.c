#include "client/redirect.h"

#include <stdio.h>
#include <string.h>

#include "client/client.h"

/* How often one request may be told that the leader is elsewhere. */
#define MAX_MOVES 8
/* ms in which an address that could not be reached is not tried again */
#define REFUSED_FOR 30000

static void nobody_waits(void *ud) {
  (void)ud;
}

void pump_redirect_stop(pump_client *client) {
  pump_redirect *self = &client->redirect;
  if (self->deadline != 0) pump_address_forget(client);
  if (self->stream) pump_stream_close(self->stream, nobody_waits, NULL);
  self->stream = NULL;
  self->deadline = 0;
  self->must_discover = false;
}

/* The move came to nothing: who waits for it asks here again. */
static void stay(pump_client *client) {
  pump_redirect_stop(client);
  pump_line_wake(&client->line, PUMP_PARKED);
  pump_client_flush_soon(client);
}

static void refuse(pump_client *client, const char *why) {
  pump_redirect *self = &client->redirect;
  snprintf(self->refused_host, sizeof self->refused_host, "%s", self->host);
  self->refused_port = self->port;
  self->refused_until = pump_client_now() + REFUSED_FOR;
  snprintf(self->why, sizeof self->why, "which could not be reached: %s", why);
  char address[300];
  pump_address_write(address, sizeof address, self->host, self->port);
  pump_log_fields fields = {.code = PUMP_ENOTLEADER, .address = address};
  pump_client_log(client, PUMP_LOG_WARNING, &fields, "%s names %s:%d as the leader, %s",
                  client->endpoint, self->host, self->port, self->why);
  stay(client);
}

void pump_redirect_too_long(pump_client *client) {
  refuse(client, client->redirect.stream ? "no connection in time" : "nobody said where it is");
}

void pump_redirect_reached(pump_client *client, int status, const char *message) {
  pump_redirect *self = &client->redirect;
  pump_stream *stream = self->stream;
  if (status != 0) {
    refuse(client, message);
    return;
  }
  self->stream = NULL;
  snprintf(client->message, sizeof client->message, "left %s for the leader, %s:%d",
           client->endpoint, self->host, self->port);
  pump_client_name_endpoint(client, self->to_host, self->to_port);
  pump_client_know_as(client, self->host, self->port);
  pump_reconnect_move(client, stream);
}

static void reach(pump_client *client, const char *host, int port) {
  pump_redirect *self = &client->redirect;
  int code = host ? 0 : PUMP_ECONNECT;
  if (code == 0 && pump_client_is_at(client, host, port)) {
    pump_client_know_as(client, self->host, self->port);
    stay(client);
    return;
  }
  if (code == 0) {
    snprintf(self->to_host, sizeof self->to_host, "%s", host);
    self->to_port = port;
    code = pump_client_reach(client, &self->stream, host, port);
  }
  if (code != 0) refuse(client, host ? pump_error_sentence(code) : "nobody knows its address");
}

static void begin(pump_client *client, const char *host, int port) {
  pump_redirect *self = &client->redirect;
  snprintf(self->host, sizeof self->host, "%s", host);
  self->port = port;
  self->deadline = pump_client_now() + client->options.connect_timeout / 2 + 1;
  char address[300];
  pump_address_write(address, sizeof address, host, port);
  pump_log_fields fields = {.code = PUMP_ENOTLEADER, .address = address};
  pump_client_log(client, PUMP_LOG_DEBUG, &fields, "%s names %s:%d as the leader", client->endpoint,
                  host, port);
  pump_address_find(client, host, port, reach);
  pump_client_set_timer(client);
}

void pump_redirect_go_on(pump_client *client) {
  if (!client->redirect.must_discover) return;
  client->redirect.must_discover = false;
  pump_client_lose(client, PUMP_ENOTLEADER, "it is not the leader, and does not know who is");
}

/* ---- Deciding ----------------------------------------------------------------------------- */

static pump_decision give_up(pump_conversation *conversation, const char *why) {
  pump_conversation_fail(conversation, PUMP_ENOTLEADER, why);
  conversation->result.retryable = true;
  return PUMP_DONE;
}

static bool is_refused(const pump_client *client, const char *host, int port) {
  const pump_redirect *self = &client->redirect;
  return pump_client_now() < self->refused_until && self->refused_port == port &&
         strcmp(self->refused_host, host) == 0;
}

static bool is_moving(const pump_client *client) {
  return client->redirect.deadline != 0 || client->redirect.must_discover;
}

void pump_redirect_to(pump_client *client, const char *host, int port) {
  bool is_of_use = !pump_client_is_at(client, host, port) && !is_refused(client, host, port);
  if (is_of_use && !is_moving(client) && !pump_reconnect_is_soon(client) &&
      client->options.reconnect_attempts > 0)
    begin(client, host, port);
}

/* Only who looks for the leader will find it by gossip. */
static bool can_discover(const pump_client *client) {
  const pump_options *options = &client->options;
  return options->seeds && !options->choose && options->selector == PUMP_SELECT_LEADER;
}

pump_decision pump_redirect_take(pump_client *client, pump_conversation *conversation) {
  pump_redirect *self = &client->redirect;
  const pump_result *result = &conversation->result;
  const char *host = result->leader_host;
  char words[400];
  if (client->options.reconnect_attempts == 0 || client->options.open) return PUMP_DONE;
  if (!host && !can_discover(client)) return PUMP_DONE;
  if (++conversation->moves > MAX_MOVES) {
    snprintf(words, sizeof words, "says %s, and so it went on for %d answers", client->endpoint,
             MAX_MOVES);
    return give_up(conversation, words);
  }
  if (host && is_refused(client, host, result->leader_port))
    return give_up(conversation, self->why);
  bool is_under_way = is_moving(client);
  /* It may well be elected next. And two who name each other must not keep us on the run. */
  if ((host && pump_client_is_at(client, host, result->leader_port)) ||
      (!is_under_way && pump_reconnect_is_soon(client)))
    return PUMP_RETRY;
  if (pump_line_retry(&client->line, conversation, PUMP_PARKED) != 0) return PUMP_DONE;
  if (!is_under_way && host) begin(client, host, result->leader_port);
  if (!is_under_way && !host) self->must_discover = true;
  return PUMP_MOVE;
}

/* How a connection ends, or an attempt to make one, and what becomes of all that waits for it. */
#include <stdio.h>

#include "client/client.h"

static void on_stream_gone(void *ud) {
  (void)ud;
}

static void drop_stream(pump_client *client) {
  client->is_sending = false;
  if (client->stream) pump_stream_close(client->stream, on_stream_gone, NULL);
  client->stream = NULL;
  pump_client_wipe(client);
}

void pump_client_drop_connection(pump_client *client) {
  drop_stream(client);
  pump_session_free(client->session);
  client->session = NULL;
}

void pump_client_fail_list(pump_client *client, pump_conversation *list, const char *message) {
  pump_conversation *conversation;
  while ((conversation = list)) {
    list = conversation->next;
    conversation->next = NULL;
    pump_conversation_fail(conversation, PUMP_ECLOSED, message);
    pump_client_finish(client, conversation);
  }
}

static void leave_connection(pump_client *client) {
  client->state = PUMP_STATE_CLOSED;
  client->connect_deadline = 0;
  pump_cluster_stop(client);
  pump_redirect_stop(client);
  drop_stream(client);
}

/* Everything that waits is answered. A callback may ask or connect again: what comes in
 * meanwhile belongs to what comes next, and must not be failed with the rest. */
void pump_client_fail_all(pump_client *client, int code, const char *message) {
  pump_conversation *doomed = NULL, **end = &doomed, *conversation;
  pump_subscriptions_lose(client);
  while ((conversation = pump_line_any(&client->line))) {
    pump_line_leave(&client->line, conversation);
    if (conversation->slot != 0) pump_session_forget(client->session, conversation);
    *end = conversation;
    end = &conversation->next;
  }
  client->in_flight = 0;
  client->reading = 0;
  pump_session_free(client->session);
  client->session = NULL;
  pump_client_answer_connect(client, code, message ? message : pump_error_sentence(code));
  pump_client_fail_list(client, doomed, message);
  pump_subscriptions_end(client, message);
}

void pump_client_answer_connect(pump_client *client, int code, const char *message) {
  pump_result_cb cb = client->connect_cb;
  pump_result result = {.status = code,
                        .message = message,
                        .retryable =
                            code != 0 && code != PUMP_ENOTAUTHENTICATED && code != PUMP_ETLS,
                        .current_version = PUMP_UNKNOWN,
                        .elapsed_ns = uv_hrtime() - client->connect_started_ns};
  client->connect_cb = NULL;
  client->connect_deadline = 0;
  if (cb) cb(client, &result, client->connect_ud);
}

/* The client is connected no more, or not at all; client->message says why. */
static void end(pump_client *client, int code) {
  int before = client->state;
  pump_client_log(client, PUMP_LOG_WARNING,
                  &(pump_log_fields){.code = code, .attempt = client->reconnect.attempts}, "%s",
                  client->message);
  leave_connection(client);
  pump_client_fail_all(client, code, client->message);
  if (before == PUMP_STATE_CONNECTING) return;
  if (before == PUMP_STATE_CONNECTED && !client->is_closing && client->disconnected_cb)
    client->disconnected_cb(client, code, client->message, client->disconnected_ud);
  if (client->state == PUMP_STATE_CLOSED && !client->is_closing && client->closed_cb)
    client->closed_cb(client, code, client->message, client->closed_cb_ud);
}

void pump_client_connect_anew_or_end(pump_client *client, int code) {
  bool goes_on = false;
  if (client->state == PUMP_STATE_CONNECTED) goes_on = pump_reconnect_begin(client, code);
  if (client->state == PUMP_STATE_RECONNECTING && !goes_on)
    goes_on = pump_reconnect_again(client, code);
  if (!goes_on) end(client, code);
}

/* It ended before it was established, or after; the words may be the session's. */
void pump_client_lose(pump_client *client, int code, const char *reason) {
  bool was_connected = client->state == PUMP_STATE_CONNECTED;
  if (!was_connected) pump_client_pass_over(client);
  if (!was_connected && pump_cluster_go_on(client, code, reason)) {
    pump_client_drop_connection(client);
    return;
  }
  snprintf(client->message, sizeof client->message,
           was_connected ? "lost the connection to %s: %s" : "could not connect to %s: %s",
           client->endpoint, reason);
  pump_client_connect_anew_or_end(client, code);
}

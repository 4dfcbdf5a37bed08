/* What the specs of the client share: a client of the fake server, and what it is answered. */
#ifndef SPEC_FAKE_CLIENT_H
#define SPEC_FAKE_CLIENT_H

#include <pump.h>
#include <stdio.h>

#include "base/bytes.h"
#include "fake_server.h"

static uv_loop_t loop;
static fake_server server;

typedef struct answer {
  int count;
  int status;
  char message[600];
  int64_t current_version;
  char leader[64];
  size_t events;
} answer;

static inline void take(pump_client *client, const pump_result *result, void *ud) {
  answer *to = ud;
  (void)client;
  to->count++;
  to->status = result->status;
  snprintf(to->message, sizeof to->message, "%s", result->message);
  to->current_version = result->current_version;
  snprintf(to->leader, sizeof to->leader, "%s", result->leader_host ? result->leader_host : "");
  to->events = result->page ? result->page->count : 0;
}

static inline void wait_for(const answer *expected) {
  while (expected->count == 0 && uv_run(&loop, UV_RUN_ONCE))
    ;
}

static inline void close_all(pump_client *client) {
  fake_stop(&server);
  fake_finish(&loop, client);
}

static inline pump_options options(void) {
  pump_options made;
  pump_options_init(&made);
  made.port = server.port;
  made.timeout = 400;
  made.connect_timeout = 300;
  return made;
}

static inline pump_client *connect_with(const pump_options *made, answer *connected) {
  pump_client *client;
  *connected = (answer){0};
  pump_client_new(&client, &loop, made);
  pump_client_connect(client, take, connected);
  wait_for(connected);
  return client;
}

#endif

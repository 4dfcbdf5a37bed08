#include "node/clean.h"

#include <string.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/answer.h"
#include "node/node_private.h"
#include "wire/tcp/command.h"

/* What a tick may take, in nanoseconds, and the steps it is made of. */
#define TICK_TIME   ((uint64_t)5 * 1000 * 1000)
#define STEP_BUDGET 100
/* A store that was written to is cleaned ten minutes later, in ms. */
#define INTERVAL ((uint64_t)10 * 60 * 1000)

static void begin(pump_node *node) {
  pump_clean *clean = &node->clean;
  clean->is_running = true;
  clean->stream = 0;
  clean->seen_end = pump_store_end_position(node->store);
  if (uv_random(NULL, NULL, clean->id.bytes, sizeof clean->id.bytes, 0, NULL) != 0)
    memset(&clean->id, 0, sizeof clean->id);
  pump_guid_stamp(&clean->id);
}

/* A step that fails ends it: the next one tries again. */
static void go_on(pump_node *node) {
  pump_clean *clean = &node->clean;
  uint64_t until = uv_hrtime() + TICK_TIME;
  bool is_shrunk = false;
  int code = 0;
  while (code == 0 && !clean->is_through && uv_hrtime() < until)
    code = pump_store_scavenge(node->store, &clean->stream, STEP_BUDGET, pump_node_time(),
                               &clean->is_through);
  if (code == 0) code = pump_store_commit(node->store);
  if (code == 0 && clean->is_through) code = pump_store_shrink(node->store, &is_shrunk);
  clean->is_running = code == 0 && !is_shrunk;
}

void pump_clean_tick(pump_node *node) {
  pump_clean *clean = &node->clean;
  uint64_t now = uv_now(node->loop);
  if (clean->next == 0) clean->next = now + INTERVAL;
  if (!clean->is_running && now >= clean->next) {
    clean->next = now + INTERVAL;
    if (clean->seen_end != pump_store_end_position(node->store)) begin(node);
  }
  if (clean->is_running) go_on(node);
}

void pump_clean_answer(pump_peer *peer, const pump_request *request) {
  pump_node *node = peer->node;
  char id[PUMP_GUID_TEXT + 1];
  PumpTcp__ScavengeDatabaseResponse reply = PUMP_TCP__SCAVENGE_DATABASE_RESPONSE__INIT;
  reply.has_result = true;
  if (!pump_account_may_operate(request->who)) {
    if (!request->who && node->is_23) return; /* such a server says nothing */
    reply.result = PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED;
  } else {
    reply.result = node->clean.is_running ? PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_IN_PROGRESS
                                          : PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED;
    if (!node->clean.is_running) begin(node);
    pump_guid_format(&node->clean.id, id);
    reply.has_scavenge_id = true;
    reply.scavenge_id = pump_tcp_binary(pump_bytes_of(id));
  }
  pump_answer_with(peer, PUMP_TCP_SCAVENGE_DATABASE_RESPONSE, &request->correlation, &reply.base);
}

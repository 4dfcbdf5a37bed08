#include "node/clean.h"

#include <stdio.h>
#include <string.h>
#include "base/bytes.h"
#include "base/guid.h"
#include "node/answer.h"
#include "node/node_private.h"
#include "node/system.h"
#include "wire/tcp/command.h"

/* What a tick may take, in nanoseconds, and the steps it is made of. */
#define TICK_TIME   ((uint64_t)5 * 1000 * 1000)
#define STEP_BUDGET 100
/* A store that was written to is cleaned ten minutes later, in ms. */
#define INTERVAL ((uint64_t)10 * 60 * 1000)

/* ---- What $scavenges tells ---------------------------------------------------------------- */

/* An event in the stream of this scavenge, and a link to it in that of all. */
static int tell(pump_node *node, const char *type, const char *data) {
  char id[PUMP_GUID_TEXT + 1], link[96];
  int64_t now = pump_node_time(), number;
  pump_guid_format(&node->clean.id, id);
  int code = pump_system_write(node->store, "$scavenges-", id, type, pump_bytes_of(data), true, now,
                               &number);
  snprintf(link, sizeof link, "%lld@$scavenges-%s", (long long)number, id);
  if (code == 0)
    code = pump_system_write(node->store, "$scavenges", "", "$>", pump_bytes_of(link), false, now,
                             NULL);
  return code;
}

static const char *place_of(const pump_node *node) {
  if (node->http) return pump_http_address(node->http);
  return node->address[0] ? node->address : "memory";
}

static int tell_beginning(pump_node *node) {
  char id[PUMP_GUID_TEXT + 1], data[512];
  pump_guid_format(&node->clean.id, id);
  int code =
      pump_system_write(node->store, "$$$scavenges-", id, "$metadata",
                        pump_bytes_of(PUMP_SCAVENGES_METADATA), true, pump_node_time(), NULL);
  snprintf(data, sizeof data, "{\n  \"scavengeId\": \"%s\",\n  \"nodeEndpoint\": \"%s\"\n}", id,
           place_of(node));
  if (code == 0) code = tell(node, "$scavengeStarted", data);
  return code == 0 ? pump_store_commit(node->store) : code;
}

static int64_t space_saved(const pump_node *node) {
  int64_t saved = node->clean.used - pump_store_used(node->store);
  return saved > 0 ? saved : 0;
}

static int tell_end(pump_node *node, bool is_good) {
  char id[PUMP_GUID_TEXT + 1], data[512];
  unsigned took = (unsigned)(uv_now(node->loop) - node->clean.began);
  pump_guid_format(&node->clean.id, id);
  snprintf(data, sizeof data,
           "{\n  \"scavengeId\": \"%s\",\n  \"nodeEndpoint\": \"%s\",\n"
           "  \"result\": \"%s\",\n  \"error\": %s,\n"
           "  \"timeTaken\": \"%02u:%02u:%02u.%03u0000\",\n  \"spaceSaved\": %lld\n}",
           id, place_of(node), is_good ? "Success" : "Failed",
           is_good ? "null" : "\"the store could not write\"", took / 3600000, took / 60000 % 60,
           took / 1000 % 60, took % 1000, (long long)space_saved(node));
  int code = tell(node, "$scavengeCompleted", data);
  return code == 0 ? pump_store_commit(node->store) : code;
}

/* ---- Scavenging --------------------------------------------------------------------------- */

static void begin(pump_node *node, bool is_commanded) {
  pump_clean *clean = &node->clean;
  clean->is_running = true;
  clean->is_through = false;
  clean->is_commanded = is_commanded;
  clean->stream = 0;
  clean->began = uv_now(node->loop);
  clean->used = pump_store_used(node->store);
  if (uv_random(NULL, NULL, clean->id.bytes, sizeof clean->id.bytes, 0, NULL) != 0)
    memset(&clean->id, 0, sizeof clean->id);
  pump_guid_stamp(&clean->id);
  if (is_commanded && tell_beginning(node) != 0) pump_store_rollback(node->store);
  clean->seen_end = pump_store_end_position(node->store);
}

static void answer_waiter(pump_node *node, bool is_good);

static void end(pump_node *node, bool is_good) {
  pump_clean *clean = &node->clean;
  clean->is_running = false;
  if (!clean->is_commanded) return;
  bool was_quiet = clean->seen_end == pump_store_end_position(node->store);
  if (tell_end(node, is_good) != 0) pump_store_rollback(node->store);
  if (was_quiet) clean->seen_end = pump_store_end_position(node->store);
  if (clean->waiter) answer_waiter(node, is_good);
}

/* A step that fails ends it: the next one tries again. */
static void go_on(pump_node *node) {
  pump_clean *clean = &node->clean;
  uint64_t until = uv_hrtime() + TICK_TIME;
  int64_t needed = pump_feed_needs(node);
  bool is_shrunk = false;
  int code = 0;
  while (code == 0 && !clean->is_through && uv_hrtime() < until)
    code = pump_store_scavenge(node->store, &clean->stream, STEP_BUDGET, needed, pump_node_time(),
                               &clean->is_through);
  if (code == 0) code = pump_store_commit(node->store);
  if (code == 0 && clean->is_through) code = pump_store_shrink(node->store, &is_shrunk);
  if (code != 0 || is_shrunk) end(node, code == 0);
}

void pump_clean_tick(pump_node *node) {
  pump_clean *clean = &node->clean;
  uint64_t now = uv_now(node->loop);
  if (clean->next == 0) clean->next = now + INTERVAL;
  if (!clean->is_running && now >= clean->next) {
    clean->next = now + INTERVAL;
    if (clean->seen_end != pump_store_end_position(node->store)) begin(node, false);
  }
  if (clean->is_running) go_on(node);
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void say(pump_peer *peer, const pump_tcp_correlation *correlation, int result,
                const char *text) {
  PumpTcp__ScavengeDatabaseResponse reply = PUMP_TCP__SCAVENGE_DATABASE_RESPONSE__INIT;
  reply.has_result = true;
  reply.result = (PumpTcp__ScavengeResult)result;
  reply.has_scavenge_id = text != NULL;
  reply.scavenge_id = pump_tcp_binary(pump_bytes_of(text));
  pump_answer_with(peer, PUMP_TCP_SCAVENGE_DATABASE_RESPONSE, correlation, &reply.base);
}

static void say_4(pump_peer *peer, const pump_tcp_correlation *correlation, int result,
                  const char *error, uint64_t took, int64_t saved) {
  PumpTcp__ScavengeDatabaseResponse reply = PUMP_TCP__SCAVENGE_DATABASE_RESPONSE__INIT;
  reply.has_result = reply.has_total_time_ms = reply.has_total_space_saved = true;
  reply.result = (PumpTcp__ScavengeResult)result;
  reply.has_scavenge_id = error != NULL; /* there it is the error's text */
  reply.scavenge_id = pump_tcp_binary(pump_bytes_of(error));
  reply.total_time_ms = (int32_t)took;
  reply.total_space_saved = saved;
  pump_answer_with(peer, PUMP_TCP_SCAVENGE_DATABASE_RESPONSE, correlation, &reply.base);
}

static void answer_waiter(pump_node *node, bool is_good) {
  pump_clean *clean = &node->clean;
  pump_peer *peer = clean->waiter;
  size_t start = peer->out.size;
  clean->waiter = NULL;
  say_4(peer, &clean->correlation, is_good ? 0 : PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED,
        is_good ? NULL : "the store could not write", uv_now(node->loop) - clean->began,
        space_saved(node));
  pump_faults_answered(peer, start, PUMP_TCP_SCAVENGE_DATABASE);
  pump_peer_flush(peer);
}

/* Up to 4.1 it is answered when it is over. */
static void answer_4(pump_peer *peer, const pump_request *request) {
  pump_clean *clean = &peer->node->clean;
  if (!pump_account_may_operate(request->who)) {
    say_4(peer, &request->correlation, PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED,
          "Access denied.", 0, 0);
  } else if (clean->waiter) {
    say_4(peer, &request->correlation, PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_IN_PROGRESS,
          "Scavenge already in progress.", 0, 0);
  } else {
    begin(peer->node, true);
    clean->waiter = peer;
    clean->correlation = request->correlation;
  }
}

void pump_clean_answer(pump_peer *peer, const pump_request *request) {
  pump_node *node = peer->node;
  char id[PUMP_GUID_TEXT + 1];
  if (node->like == PUMP_LIKE_4) {
    answer_4(peer, request);
  } else if (pump_account_may_operate(request->who)) {
    bool is_new = !node->clean.is_running || !node->clean.is_commanded;
    if (is_new) begin(node, true);
    pump_guid_format(&node->clean.id, id);
    say(peer, &request->correlation,
        is_new ? PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED
               : PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_IN_PROGRESS,
        id);
  } else if (request->who || !node->is_23) { /* to whom a newer server says nothing */
    say(peer, &request->correlation, PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED, NULL);
  }
}

void pump_clean_forget(const pump_peer *peer) {
  if (peer->node->clean.waiter == peer) peer->node->clean.waiter = NULL;
}

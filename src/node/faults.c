#include "node/faults.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "node/answer.h"
#include "node/node_private.h"
#include "wire/tcp/command.h"
#include "wire/tcp/message.h"

/* What all delayed answers may take: whoever asks on without waiting is cut. */
#define MAX_LATE_BYTES ((size_t)64 * 1024 * 1024)
#define STILL_MUTE     50 /* ms until a push is tried again that a mute node has */

/* An answer that waits, and what is done to it then. */
typedef struct pump_late {
  struct pump_late *next;
  pump_peer *peer;
  bool is_push;
  uint64_t due; /* on the loop's clock */
  pump_node_faults how;
  size_t size;
  uint8_t bytes[];
} pump_late;

/* ---- Settings ----------------------------------------------------------------------------- */

void pump_faults_release(pump_node_faults *faults) {
  free((char *)(uintptr_t)faults->leader);
  free((char *)(uintptr_t)faults->gossip);
  faults->leader = faults->gossip = NULL;
}

static int check(const pump_node_faults *faults) {
  char host[PUMP_HOST_SIZE];
  int port;
  switch (faults->not_handled) {
  case 0:
  case PUMP_ENOTREADY:
  case PUMP_EBUSY:
  case PUMP_ENOTLEADER: break;
  default: return PUMP_EINVALID;
  }
  if (faults->only < PUMP_NODE_ALL || faults->only > PUMP_NODE_WRITES) return PUMP_EINVALID;
  if (!(faults->chance >= 0 && faults->chance <= 1)) return PUMP_EINVALID;
  if (faults->leader && !pump_listen_split(faults->leader, host, &port)) return PUMP_EINVALID;
  return 0;
}

static bool copy(const char **to, const char *text) {
  *to = text ? strdup(text) : NULL;
  return *to || !text;
}

static void set_timer(pump_node *node);

int pump_node_set_faults(pump_node *node, const pump_node_faults *faults) {
  pump_node_faults set = faults ? *faults : (pump_node_faults){0};
  int code = check(&set);
  if (code != 0) return code;
  bool has_leader = copy(&set.leader, set.leader);
  if (!copy(&set.gossip, set.gossip) || !has_leader) {
    pump_faults_release(&set);
    return PUMP_ENOMEM;
  }
  pump_faults_release(&node->faults.settings);
  node->faults.settings = set;
  uv_update_time(node->loop);
  node->faults.until = set.duration > 0 ? uv_now(node->loop) + set.duration : 0;
  if (!node->is_closing) set_timer(node);
  return 0;
}

pump_node_faults pump_node_get_faults(const pump_node *node) {
  pump_node_faults faults = node->faults.settings;
  uint64_t now = uv_now(node->loop), until = node->faults.until;
  if (until > 0) faults.duration = until > now ? until - now : 1;
  return faults;
}

void pump_node_drop_connections(pump_node *node) {
  while (node->peers)
    pump_peer_close(node->peers);
}

bool pump_faults_is_mute(const pump_node *node) {
  const pump_node_faults *set = &node->faults.settings;
  return set->silent && set->only == PUMP_NODE_ALL && set->count == 0 && set->chance == 0;
}

static bool is_meant(const pump_node_faults *set, uint8_t command) {
  bool is_write, is_known = pump_answer_knows(command, &is_write);
  return set->only == PUMP_NODE_ALL || (is_known && is_write == (set->only == PUMP_NODE_WRITES));
}

static bool draw(const pump_node_faults *set) {
  uint32_t number;
  if (set->chance == 0 || uv_random(NULL, NULL, &number, sizeof number, 0, NULL) != 0) return true;
  return number < set->chance * UINT32_MAX;
}

/* Counts an answer that is hit, and says how: what is set may end with it. */
static pump_node_faults count_hit(pump_node *node) {
  pump_node_faults *set = &node->faults.settings, how = *set;
  if (set->count > 0 && --set->count == 0)
    *set = (pump_node_faults){.leader = set->leader,
                              .refuse = set->refuse,
                              .gossip = set->gossip,
                              .duration = set->duration};
  return how;
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void deliver(pump_peer *peer, size_t start, const pump_node_faults *how) {
  size_t size = peer->out.size - start;
  if (how->duplicate && pump_buffer_reserve(&peer->out, size)) {
    memcpy(peer->out.data + peer->out.size, peer->out.data + start, size);
    pump_buffer_grew(&peer->out, size);
  }
  if (how->one_byte) *(peer->is_sending ? &peer->will_trickle : &peer->is_trickling) = true;
  if (!how->cut) return;
  if (how->cut_at < peer->out.size - start) pump_buffer_truncate(&peer->out, start + how->cut_at);
  pump_peer_end(peer);
}

static void remove_late(pump_node *node, pump_late **place) {
  pump_late *late = *place;
  *place = late->next;
  node->faults.late_bytes -= late->size;
  free(late);
}

static void on_timer(uv_timer_t *timer);

/* At the next answer that is due, or at the end of it all. */
static void set_timer(pump_node *node) {
  uint64_t now = uv_now(node->loop), due = node->faults.until;
  const pump_late *first = node->faults.late;
  if (first && (due == 0 || first->due < due)) due = first->due;
  if (due > 0)
    uv_timer_start(&node->faults.timer, on_timer, due > now ? due - now : 0, 0);
  else
    uv_timer_stop(&node->faults.timer);
}

/* Behind all that are due before it or then. */
static void insert_late(pump_node *node, pump_late *late) {
  pump_late **place = &node->faults.late;
  while (*place && (*place)->due <= late->due)
    place = &(*place)->next;
  late->next = *place;
  *place = late;
}

static void on_timer(uv_timer_t *timer) {
  pump_node *node = (pump_node *)(void *)((char *)timer - offsetof(pump_node, faults.timer));
  pump_late *late;
  while ((late = node->faults.late) && late->due <= uv_now(node->loop)) {
    if (late->is_push && pump_faults_is_mute(node)) {
      node->faults.late = late->next;
      late->due = uv_now(node->loop) + STILL_MUTE;
      insert_late(node, late);
      continue;
    }
    pump_peer *peer = late->peer;
    pump_node_faults how = late->how;
    size_t start = peer->out.size;
    bool is_wanted = !peer->is_ending;
    if (is_wanted) pump_buffer_append(&peer->out, late->bytes, late->size);
    remove_late(node, &node->faults.late);
    if (!is_wanted) continue;
    deliver(peer, start, &how);
    pump_peer_flush(peer);
  }
  if (node->faults.until > 0 && node->faults.until <= uv_now(node->loop))
    pump_node_set_faults(node, NULL);
  set_timer(node);
}

/* Events of subscriptions, and the confirmations in front of them. No server lets one overtake
 * another: none goes out in front of these. */
static const pump_late *last_push(const pump_peer *peer) {
  const pump_late *last = NULL;
  for (const pump_late *late = peer->node->faults.late; late; late = late->next)
    if (late->is_push && late->peer == peer) last = late;
  return last;
}

static void put_off(pump_peer *peer, size_t start, bool is_push, const pump_node_faults *how) {
  pump_node *node = peer->node;
  const pump_late *before = is_push ? last_push(peer) : NULL;
  size_t size = peer->out.size - start;
  pump_late *late = malloc(sizeof *late + size);
  if (!late || node->faults.late_bytes + size > MAX_LATE_BYTES) {
    free(late);
    pump_peer_close(peer);
    return;
  }
  uv_update_time(node->loop);
  *late = (pump_late){.peer = peer, .is_push = is_push, .how = *how, .size = size};
  late->due = uv_now(node->loop) + how->delay;
  if (before && before->due > late->due) late->due = before->due;
  memcpy(late->bytes, peer->out.data + start, size);
  pump_buffer_truncate(&peer->out, start);
  node->faults.late_bytes += size;
  insert_late(node, late);
  set_timer(node);
}

/* Only what is asked of the store is refused; what was, has been drawn already. */
static bool hits(const pump_node_faults *set, uint8_t command, bool is_refusal) {
  bool is_write,
      spoils = set->delay > 0 || set->silent || set->duplicate || set->one_byte || set->cut;
  if (!is_meant(set, command)) return false;
  if (set->not_handled != 0 && pump_answer_knows(command, &is_write)) return is_refusal;
  return spoils && draw(set);
}

static bool subscribes(uint8_t command) {
  return command == PUMP_TCP_SUBSCRIBE_TO_STREAM ||
         command == PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION;
}

/* What is pushed to a subscription is never left out, or it would have missed it without a sign: a
 * mute node has it wait. */
static void pushed(pump_peer *peer, size_t start, uint8_t command) {
  const pump_node_faults *set = &peer->node->faults.settings;
  bool is_mute = pump_faults_is_mute(peer->node);
  pump_node_faults how = {0};
  if (!set->silent && hits(set, command, false)) how = count_hit(peer->node);
  if (is_mute) how.delay = STILL_MUTE;
  if (how.delay > 0 || last_push(peer))
    put_off(peer, start, true, &how);
  else
    deliver(peer, start, &how);
}

void pump_faults_answered(pump_peer *peer, size_t start, uint8_t command) {
  if (peer->is_ending || peer->out.size <= start) return;
  if (command == PUMP_TCP_HEARTBEAT_REQUEST) {
    if (pump_faults_is_mute(peer->node)) pump_buffer_truncate(&peer->out, start);
    return;
  }
  if (command == PUMP_TCP_STREAM_EVENT_APPEARED ||
      command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED) {
    pushed(peer, start, command);
    return;
  }
  bool is_refusal = peer->out.data[start + PUMP_TCP_LENGTH_SIZE] == PUMP_TCP_NOT_HANDLED;
  if (!hits(&peer->node->faults.settings, command, is_refusal)) return;
  pump_node_faults how = count_hit(peer->node);
  if (how.silent)
    pump_buffer_truncate(&peer->out, start);
  else if (how.delay > 0)
    put_off(peer, start, subscribes(command), &how);
  else
    deliver(peer, start, &how);
}

void pump_faults_forget(const pump_peer *peer) {
  for (pump_late **place = &peer->node->faults.late; *place;) {
    if ((*place)->peer == peer)
      remove_late(peer->node, place);
    else
      place = &(*place)->next;
  }
}

/* ---- NotHandled --------------------------------------------------------------------------- */

/* Where the leader is, as NotHandled says it: no HTTP. It speaks TLS where this node does. */
static void put_leader(pump_buffer *out, const char *leader, const pump_node *node) {
  char host[PUMP_HOST_SIZE];
  PumpTcp__LeaderInfo info = PUMP_TCP__LEADER_INFO__INIT;
  int port = 0;
  if (!leader || !pump_listen_split(leader, host, &port)) return;
  info.has_external_tcp_address = info.has_http_address = true;
  info.has_http_port = !node->is_23; /* which leaves out what is 0 */
  info.external_tcp_address = info.http_address = pump_tcp_binary(pump_bytes_of(host));
  info.has_external_tcp_port = !node->tls || !node->is_23;
  info.external_tcp_port = node->tls ? 0 : port;
  if (node->tls) {
    info.has_external_secure_tcp_address = info.has_external_secure_tcp_port = true;
    info.external_secure_tcp_address = info.external_tcp_address;
    info.external_secure_tcp_port = port;
  }
  uint8_t *to = pump_buffer_reserve(out, pump_tcp__leader_info__get_packed_size(&info));
  if (to) pump_buffer_grew(out, pump_tcp__leader_info__pack(&info, to));
}

bool pump_faults_refuse(pump_peer *peer, const pump_tcp_frame *frame) {
  const pump_node_faults *set = &peer->node->faults.settings;
  if (set->not_handled == 0 || !is_meant(set, frame->command) || !draw(set)) return false;
  pump_buffer leader;
  PumpTcp__NotHandled reply = PUMP_TCP__NOT_HANDLED__INIT;
  reply.has_reason = true;
  reply.reason = set->not_handled == PUMP_EBUSY ? PUMP_TCP__NOT_HANDLED_REASON__NOT_HANDLED_TOO_BUSY
                 : set->not_handled == PUMP_ENOTLEADER
                     ? PUMP_TCP__NOT_HANDLED_REASON__NOT_HANDLED_NOT_LEADER
                     : PUMP_TCP__NOT_HANDLED_REASON__NOT_HANDLED_NOT_READY;
  pump_buffer_init(&leader);
  if (set->not_handled == PUMP_ENOTLEADER) put_leader(&leader, set->leader, peer->node);
  reply.has_additional_info = leader.size > 0;
  reply.additional_info = (ProtobufCBinaryData){leader.size, leader.data};
  pump_answer_with(peer, PUMP_TCP_NOT_HANDLED, &frame->correlation, &reply.base);
  pump_buffer_free(&leader);
  return true;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

void pump_faults_open(pump_node *node) {
  uv_timer_init(node->loop, &node->faults.timer);
  uv_unref((uv_handle_t *)&node->faults.timer); /* peers keep the loop running, who wait for it */
  node->open_handles++;
}

static void on_timer_closed(uv_handle_t *handle) {
  pump_node_handle_closed(
      (pump_node *)(void *)((char *)handle - offsetof(pump_node, faults.timer)));
}

void pump_faults_close(pump_node *node) {
  uv_close((uv_handle_t *)&node->faults.timer, on_timer_closed);
}

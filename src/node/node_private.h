/* The node inside: its handles on the loop, its peers, and its turn.
 *
 * What peers ask of the store waits until the loop has handed over everything that came in this
 * iteration. Then, once for all of them: every write goes into one transaction, the transaction
 * is committed, and every peer gets its answers in the order in which it asked. */
#ifndef PUMP_NODE_PRIVATE_H
#define PUMP_NODE_PRIVATE_H

#include <uv.h>
#include "node/clean.h"
#include "node/faults.h"
#include "node/feed.h"
#include "node/groups.h"
#include "node/http.h"
#include "node/like.h"
#include "node/listen.h"
#include "node/peer.h"
#include "node/rights.h"
#include "node/store.h"
#include "pump_node.h"

#define PUMP_NODE_MAX_PEERS 2000
/* The pulse by which silence and deadlines are counted; ticks that a busy program missed are no
 * peer's fault. */
#define PUMP_NODE_TICK 250

struct pump_node {
  uv_loop_t *loop;
  uv_tcp_t listener;
  uv_check_t check; /* behind the loop's reading: the turn */
  uv_idle_t idle;   /* keeps the loop from sleeping before a turn that is due */
  uv_timer_t timer;
  int open_handles; /* of these and of peers: the node is freed with the last */
  pump_store *store;
  pump_accounts accounts;
  pump_tls_context *tls; /* NULL: plain */
  pump_peer *peers;
  size_t peer_count;
  size_t weight;   /* of the large frames that peers bring */
  bool is_pressed; /* peers have left so much unread that pages get smaller */
  pump_peer *busy; /* peers with requests that may be answered */
  pump_peer *busy_tail;
  pump_http *http; /* NULL: none */
  pump_faults faults;
  pump_feed feed;
  pump_groups groups;
  pump_clean clean;
  pump_like like;
  bool is_23; /* like EventStore 23.10 */
  bool is_closing;
  char address[PUMP_ADDRESS_SIZE]; /* "" when it does not listen */
  void (*on_close)(void *ud);
  void *close_ud;
};

/* Does what all peers have asked; once a turn of the loop, and before somebody goes. Not from inside
 * an answer. */
void pump_node_turn(pump_node *node);
/* There is something to do in the next turn. */
void pump_node_wake(pump_node *node);
/* The peer has something for the turn. */
void pump_node_schedule(pump_node *node, pump_peer *peer);
/* The peer has gone. */
void pump_node_unschedule(pump_node *node, const pump_peer *peer);
/* There are more or fewer peers: the pulse beats as long as there are any. */
void pump_node_watch(pump_node *node);
/* A handle has been closed. */
void pump_node_handle_closed(pump_node *node);
/* Whether they may; a 23.10 server lets nobody in without a name. */
bool pump_node_allows(pump_node *node, const pump_account *who, pump_bytes stream,
                      pump_store_right right);
/* Microseconds since 1970. */
int64_t pump_node_time(void);

#endif

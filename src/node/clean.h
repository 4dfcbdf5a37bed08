/* Scavenges: by command, and by themselves from time to time, a little at each tick. Those by
 * command are told of in $scavenges, as a server does. */
#ifndef PUMP_NODE_CLEAN_H
#define PUMP_NODE_CLEAN_H

#include <pump.h>
#include "pump_node.h"
#include "wire/tcp/frame.h"

struct pump_peer;
struct pump_request;

typedef struct pump_clean {
  bool is_running;
  bool is_commanded; /* and not begun by itself */
  pump_guid id;      /* of this scavenge */
  int64_t stream;    /* how far it has come */
  bool is_through;   /* it has seen them all, and hands back what it freed */
  int64_t used;      /* the store's bytes when it began, */
  uint64_t began;    /* and the loop's clock */
  int64_t seen_end;  /* where the store ended when the last one began */
  uint64_t next;     /* when one begins by itself, on the loop's clock */
  /* Who is told when it is over, as 4.1 does; NULL: nobody. */
  struct pump_peer *waiter;
  pump_tcp_correlation correlation;
} pump_clean;

/* Into peer->out: the answer to ScavengeDatabase, if there is one now. */
void pump_clean_answer(struct pump_peer *peer, const struct pump_request *request);
void pump_clean_tick(pump_node *node);
/* The peer has gone. */
void pump_clean_forget(const struct pump_peer *peer);

#endif

/* Scavenges: by command, and by themselves from time to time, a little at each tick. */
#ifndef PUMP_NODE_CLEAN_H
#define PUMP_NODE_CLEAN_H

#include <pump.h>
#include "pump_node.h"

struct pump_peer;
struct pump_request;

typedef struct pump_clean {
  bool is_running;
  pump_guid id;     /* of this scavenge */
  int64_t stream;   /* how far it has come */
  bool is_through;  /* it has seen them all, and hands back what it freed */
  int64_t seen_end; /* where the store ended when the last one began */
  uint64_t next;    /* when one begins by itself, on the loop's clock */
} pump_clean;

/* Into peer->out: the answer to ScavengeDatabase. */
void pump_clean_answer(struct pump_peer *peer, const struct pump_request *request);
void pump_clean_tick(pump_node *node);

#endif

/* Subscriptions: who listens to which stream or to $all, and what each gets of what was
 * committed, in its order. An event costs those who listen to it, not those who don't.
 *
 * A peer that takes too little is left behind: what was committed meanwhile stays in the store
 * and is read again for it as it takes more, so it costs neither memory nor the others' time. One
 * that lags too many events behind is cut, as servers do. */
#ifndef PUMP_NODE_FEED_H
#define PUMP_NODE_FEED_H

#include "node/store.h"
#include "node/table.h"
#include "pump_node.h"
#include "wire/tcp/frame.h"

struct pump_peer;
struct pump_request;

typedef struct pump_feed {
  pump_table topics;                    /* streams that somebody listens to */
  pump_table subscriptions;             /* by peer and correlation id */
  pump_table ears;                      /* the same by peer and topic */
  struct pump_subscription *everything; /* those to $all */
  size_t resolving;                     /* how many want links resolved */
  int64_t next; /* what stands in $all from here on nobody has been told of yet */
  uint64_t seed;
} pump_feed;

/* A peer's part in it. */
typedef struct pump_listener {
  struct pump_subscription *subscriptions;
  size_t bytes;   /* that they take */
  bool is_behind; /* it has to read again from `from` on */
  int64_t from;
  size_t missed; /* events that it was not told of */
} pump_listener;

void pump_feed_open(pump_node *node);
void pump_feed_close(pump_node *node);

/* Into peer->out: the answer to SubscribeToStream, or to UnsubscribeFromStream if there is one. */
void pump_feed_answer_subscribe(struct pump_peer *peer, const struct pump_request *request);
void pump_feed_answer_filtered_subscribe(struct pump_peer *peer,
                                         const struct pump_request *request);
void pump_feed_answer_unsubscribe(struct pump_peer *peer, const struct pump_request *request);
/* Tells everybody of what was committed since the last time. */
void pump_feed_publish(pump_node *node);
/* The peer may have room for what it was not told of. */
void pump_feed_catch_up(struct pump_peer *peer);
/* Where in $all somebody has still to read who was not told yet. */
int64_t pump_feed_needs(const pump_node *node);
/* The peer has gone: its subscriptions too. */
void pump_feed_forget(struct pump_peer *peer);

#endif

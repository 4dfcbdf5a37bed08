/* What follows a stream for a program, a subscription or a consumer of a group: its place among
 * those of its client, its turns, its subscription at the server, and its end. What it does in a
 * turn is its own: see pump_follower_class. */
#ifndef PUMP_CLIENT_FOLLOWER_H
#define PUMP_CLIENT_FOLLOWER_H

#include "conversation/conversation.h"
#include "conversation/step.h"

typedef struct pump_follower pump_follower;

/* After the first three its steps are done. */
typedef struct pump_follower_class {
  /* What came of the subscription at the server; pushed takes the reference over. */
  void (*confirmed)(pump_follower *self, const pump_result *result);
  void (*pushed)(pump_follower *self, pump_page *page);
  void (*dropped)(pump_follower *self, const pump_result *result);
  /* Does one thing; false when there is nothing to do. It may call back, and what it calls may
   * close it. */
  bool (*step)(pump_follower *self);
  /* The connection is gone, or there is none for it any more; and there is another one. */
  void (*lost)(pump_follower *self);
  void (*found)(pump_follower *self);
  /* It or its client is about to end: puts what it has still to say into the output. May be
   * NULL. */
  void (*settle)(pump_follower *self);
  /* Tells the program that it has ended. */
  void (*ended)(pump_follower *self, const pump_result *result);
  void (*free)(pump_follower *self); /* what it has, and itself */
} pump_follower_class;

struct pump_follower {
  const pump_follower_class *class;
  pump_client *client;  /* NULL once it has ended */
  pump_follower *next;  /* in the client's list */
  pump_follower **link; /* what points to it there */
  pump_follower *next_ready;
  pump_heap_node by_due;          /* when it does steps though nothing happens */
  pump_conversation *subscribing; /* from asking to the end of the subscription */
  pump_request request;           /* what every request of it has; its texts stand behind it */
  uint64_t timeout;
  const pump_result *why; /* while an answer is looked at: what it was */
  bool is_ready;          /* in the client's list of those */
  bool is_busy;           /* it is doing steps, in which it calls back */
  bool is_closed;         /* by the program; freed as soon as nobody looks at it */
};

/* Makes one of so many bytes, all zero behind its follower, which is its first member. */
pump_follower *pump_follower_new(size_t size, const pump_follower_class *class, pump_bytes stream,
                                 pump_bytes group, const pump_call *call);
/* What new has made, for the class's `free` and for one that has not joined. */
void pump_follower_free(pump_follower *self);
/* It is the client's from now on, and does its first steps in the next turn of the loop. */
void pump_follower_join(pump_follower *self, pump_client *client);
/* PUMP_EINVALID, PUMP_ECLOSED: no follower can join the client as it is. */
int pump_follower_check(const pump_client *client);

/* It does steps in the next turn of the loop, if there will be one. */
void pump_follower_wake(pump_follower *self);
/* And at this time, UINT64_MAX for never. PUMP_ENOMEM. */
int pump_follower_due(pump_follower *self, uint64_t time);
/* Around what happens to it: its steps are done at the end, and it is freed if it was closed. */
void pump_follower_begin(pump_follower *self);
void pump_follower_end(pump_follower *self);

/* Asks; the answer comes to cb with the follower as ud. */
int pump_follower_ask(pump_follower *self, pump_conversation **place, const pump_request *request,
                      uint64_t pause, pump_result_cb cb);
int pump_follower_subscribe(pump_follower *self, pump_kind kind, uint64_t pause);
void pump_follower_unsubscribe(pump_follower *self);
/* Ends it with the words of the answer that ended it, or message, or the code's own. */
void pump_follower_fail(pump_follower *self, int code, const char *message);
/* By the program: nothing is called any more. */
void pump_follower_close(pump_follower *self);

#endif

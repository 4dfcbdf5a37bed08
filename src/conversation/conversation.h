/* A conversation: one thing asked of a server, from the question to the last word.
 *
 * It speaks in plain values and knows no protocol: a session translates it into frames (or, one
 * day, into calls of gRPC), and translates what comes back into a pump_reply. The conversation
 * reads that and decides. It survives its session: its events keep their ids, it keeps its
 * deadline and its place, and may be asked again over another connection. */
#ifndef PUMP_CONVERSATION_H
#define PUMP_CONVERSATION_H

#include <pump.h>
#include "base/buffer.h"
#include "base/heap.h"
#include "conversation/step.h"

typedef enum pump_kind {
  PUMP_AUTHENTICATE,
  PUMP_IDENTIFY,
  PUMP_PING,
  PUMP_APPEND,
  PUMP_DELETE,
  PUMP_READ_EVENT,
  PUMP_READ_STREAM,
  PUMP_READ_ALL,
  PUMP_SUBSCRIBE,
  PUMP_CREATE_GROUP,
  PUMP_UPDATE_GROUP,
  PUMP_DELETE_GROUP,
  PUMP_CONSUME
} pump_kind;

/* As programs know it: "append", "read_stream". */
const char *pump_kind_name(pump_kind kind);

static inline bool pump_kind_is_of_group(pump_kind kind) {
  return kind >= PUMP_CREATE_GROUP && kind <= PUMP_CONSUME;
}

/* Of these more comes after the first answer. */
static inline bool pump_kind_subscribes(pump_kind kind) {
  return kind == PUMP_SUBSCRIBE || kind == PUMP_CONSUME;
}

/* What is asked. Which fields count depends on the kind. */
typedef struct pump_request {
  pump_kind kind;
  bool require_leader;
  bool resolve_links;
  bool backward;
  bool is_hard;        /* delete: for ever */
  int32_t max_count;   /* reads: events; consume: events in flight */
  pump_bytes stream;   /* identify: the connection's name */
  pump_bytes group;    /* persistent subscriptions */
  pump_bytes username; /* data NULL: as the connection */
  pump_bytes password;
  int64_t number; /* append, delete: expected version; reads of a stream: event number */
  pump_position position;
  pump_filter filter; /* $all */
  const pump_new_event *events;
  size_t count;
  const pump_group_settings *settings; /* create and update a group */
} pump_request;

/* What a server said, whatever its protocol. */
typedef enum pump_outcome {
  PUMP_OUTCOME_SUCCESS,
  PUMP_OUTCOME_NO_STREAM,
  PUMP_OUTCOME_NO_EVENT,
  PUMP_OUTCOME_STREAM_DELETED,
  PUMP_OUTCOME_WRONG_VERSION,
  PUMP_OUTCOME_ACCESS_DENIED,
  PUMP_OUTCOME_NOT_AUTHENTICATED,
  PUMP_OUTCOME_INVALID_TRANSACTION,
  PUMP_OUTCOME_SERVER_TIMEOUT, /* it gave up waiting for itself: done or not, nobody knows */
  PUMP_OUTCOME_NOT_READY,
  PUMP_OUTCOME_TOO_BUSY,
  PUMP_OUTCOME_NOT_LEADER,
  PUMP_OUTCOME_READ_ONLY,
  PUMP_OUTCOME_NOT_HANDLED,
  PUMP_OUTCOME_CONFIRMED, /* a subscription: what happens is pushed from now on */
  PUMP_OUTCOME_DROPPED,   /* a subscription that the server ended without a reason */
  PUMP_OUTCOME_GROUP_EXISTS,
  PUMP_OUTCOME_NO_GROUP,    /* there is no such group */
  PUMP_OUTCOME_FULL,        /* the group has all the subscribers it allows */
  PUMP_OUTCOME_ERROR,       /* it refused and said why */
  PUMP_OUTCOME_BAD_REQUEST, /* it did not understand */
  PUMP_OUTCOME_NOT_SUPPORTED,
  PUMP_OUTCOME_TOO_LARGE, /* its answer was larger than any client takes */
  PUMP_OUTCOME_UNREADABLE /* we did not understand: text says what came */
} pump_outcome;

typedef struct pump_reply {
  pump_outcome outcome;
  pump_bytes text;         /* the server's words; consume, confirmed: its name for it */
  int64_t first_number;    /* append */
  int64_t last_number;     /* append */
  int64_t current_version; /* PUMP_UNKNOWN where it was not said */
  pump_position position;
  pump_page *page; /* reads: the conversation takes this reference over */
  pump_bytes leader_host;
  int leader_port;
  pump_bytes secure_leader_host; /* for connections by TLS */
  int secure_leader_port;
} pump_reply;

typedef enum pump_decision {
  PUMP_DONE,  /* result holds what became of it */
  PUMP_GO_ON, /* subscribed: it stays where it is, and more will come */
  PUMP_RETRY, /* ask the same again after a while; result says why, in case time runs out */
  PUMP_MOVE   /* ask the leader; result may say where it is */
} pump_decision;

/* Events that were pushed to a subscription and not handed on yet. */
typedef struct pump_push {
  struct pump_push *next;
  pump_page *page;
} pump_push;

typedef struct pump_conversation pump_conversation;
struct pump_conversation {
  pump_request request; /* deep copy, in the same allocation */
  pump_result result;
  pump_decision decision;
  unsigned attempts; /* how often it was asked */
  unsigned moves;    /* how often it was answered that somebody else is the leader */
  bool is_unsure;    /* it was asked once without an answer: who knows what became of it */
  uint64_t order;    /* among all of its owner, by when it was let in */
  uint64_t deadline; /* on the owner's clock */
  pump_buffer words; /* what result.message points to */
  char leader_host[256];

  /* Of a subscription. */
  bool was_confirmed; /* and nobody has been told */
  bool is_open;       /* confirmed and told: it has left the line */
  pump_push *pushes, *last_push;
  pump_buffer name; /* consume: what the server calls it, to be answered with */

  /* Its places, for whoever holds it now. */
  pump_sequence *sequence; /* NULL: in none */
  pump_conversation *behind;
  pump_heap_node by_deadline;
  pump_heap_node by_retry;
  pump_conversation *next, *previous;
  uint32_t slot;    /* in a session's registry, + 1; 0: in none */
  bool is_answered; /* in a session's list of those, by next */
  size_t size;      /* bytes of this allocation */
  uint64_t asked_at_ns;
  pump_result_cb cb;
  void *ud;
};

/* Checks and copies the request. Ids that are all zero stay so: the caller has made them. A login
 * without a password has an empty one.
 * PUMP_EINVALID (an empty stream or type, a page over 4096, a login over 255 bytes, an empty text
 * of a filter), PUMP_ETOOLARGE (an event no server takes), PUMP_ENOMEM. */
int pump_conversation_new(pump_conversation **conversation, const pump_request *request);
void pump_conversation_free(pump_conversation *conversation); /* NULL is fine */

/* Reads a reply and decides; result and decision are set. */
pump_decision pump_conversation_inspect(pump_conversation *conversation, const pump_reply *reply);
/* Whether it may be asked again though nobody knows what became of it: the connection was lost
 * before the answer came. */
bool pump_conversation_may_repeat(const pump_conversation *conversation);
/* The first page that was pushed, for the caller, or NULL when none is left. */
pump_page *pump_conversation_pushed(pump_conversation *conversation);
/* Ends it without a reply: the deadline has passed, the connection is gone, … message NULL: the
 * code's own sentence. A timeout while it waited for a retry keeps the reason of the retry. */
void pump_conversation_fail(pump_conversation *conversation, int code, const char *message);

#endif

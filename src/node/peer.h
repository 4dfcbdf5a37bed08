/* One connection to the node: frames in, frames out, heartbeats, and who is at the other end.
 *
 * Requests for the store wait in line until the node's turn. While the peer leaves too much
 * unread it gets no further answers and nothing more is read from it, so what it can make the
 * node hold is bounded; a peer that neither reads nor speaks is cut after its heartbeat, and one
 * that never comes to the end of a frame soon after. */
#ifndef PUMP_NODE_PEER_H
#define PUMP_NODE_PEER_H

#include <uv.h>
#include "node/feed.h"
#include "net/tls.h"
#include "node/accounts.h"
#include "node/store.h"
#include "wire/tcp/frame.h"

/* Answers are held back from this many unsent bytes on. */
#define PUMP_PEER_HIGH_WATER (1024 * 1024)
/* What nobody can hold back (pongs) ends the connection from here on. */
#define PUMP_PEER_MAX_UNSENT (10 * 1024 * 1024)

/* A request for the store. Its bytes are in the block that they came in. */
typedef struct pump_request {
  struct pump_request *next;
  uint8_t command;
  bool is_write;
  pump_tcp_correlation correlation;
  pump_block *block;
  pump_bytes payload;
  const pump_account *who;
  /* A write's way to the disk and its outcome, until it is answered. */
  enum { PUMP_REQUEST_WAITS, PUMP_REQUEST_EXECUTED, PUMP_REQUEST_SETTLED } state;
  int status;          /* 0, PUMP_EBADREQUEST, PUMP_EACCESS, PUMP_ESTORE */
  int64_t transaction; /* a transaction's id */
  pump_store_written written;
} pump_request;

typedef struct pump_peer {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv; /* first: a handle's address is its peer's */
  pump_node *node;
  struct pump_peer *next;
  struct pump_peer *previous;
  struct pump_peer *next_busy;
  pump_tcp_reader reader;
  pump_tls *tls;       /* NULL: plain */
  pump_buffer out;     /* to be sent */
  pump_buffer sending; /* being sent */
  size_t sent;         /* of that, handed to the loop */
  uv_write_t write;
  uv_shutdown_t shutdown;
  pump_request *requests;
  pump_request *last_request;
  pump_listener listener;
  struct pump_subscriber *subscribers; /* to groups */
  pump_table subscribers_by_id;
  bool is_hungry;          /* one of them had no room for an event */
  char *name;              /* as it calls itself, NULL: it did not */
  const pump_account *who; /* NULL: anonymous */
  size_t backlog;          /* unsent at the last tick */
  size_t asked;            /* bytes of its requests */
  size_t weight;           /* of the large frame that it brings */
  unsigned silent_ticks;
  unsigned ticks;       /* that it has been here */
  unsigned frame_ticks; /* since its last whole frame, while there is a part of the next */
  unsigned ending_ticks;
  uint8_t version;  /* that it identified with */
  bool is_old;      /* counts events in 32 bits: it has not identified, or with version 0 */
  bool is_stranger; /* has said nothing but answers to heartbeats */
  bool is_refused;  /* a failed Authenticate: nothing more without credentials of its own */
  bool is_busy;
  bool is_sending;
  bool is_trickling; /* what is sent goes byte by byte */
  bool will_trickle; /* what is sent after that, too */
  bool is_due;       /* and the next byte may go */
  bool is_paused;    /* nothing is read from it */
  bool is_ending;    /* its last words are on their way; what it says is not heard any more */
} pump_peer;

/* Takes the connection that waits at the node's listener, or a connected socket (owned by the
 * peer from then on, also when this fails). */
int pump_peer_accept(pump_node *node);
int pump_peer_open(pump_node *node, int fd, const pump_account *who);
/* Whether another peer may come; where all places are taken, one who never asked for anything
 * loses theirs. */
bool pump_peer_make_room(pump_node *node);
/* At once, whatever was still to be said. */
void pump_peer_close(pump_peer *peer);
/* Says what there is to be said, then ends the connection. */
void pump_peer_end(pump_peer *peer);
void pump_peer_tick(pump_peer *peer);

/* Bytes that the peer has not taken yet. */
size_t pump_peer_unsent(const pump_peer *peer);
/* Sends what stands in peer->out. */
void pump_peer_flush(pump_peer *peer);
/* The first request in line is answered: takes it out. */
void pump_peer_pop(pump_peer *peer);
/* Reads on, or doesn't while it is too far behind. */
void pump_peer_balance(pump_peer *peer);

/* A frame of bytes or text into peer->out. */
void pump_peer_say(pump_peer *peer, uint8_t command, const pump_tcp_correlation *correlation,
                   pump_bytes body);
void pump_peer_bad_request(pump_peer *peer, const pump_tcp_correlation *correlation,
                           const char *text);

#endif

/* The embedded node: a small EventStore-compatible server in this process, on SQLite.
 *
 * Library pump_node, beside libpump and never inside it: the node shares the wire codec with the
 * client and nothing else. Like a client it lives on a libuv loop that the caller owns and runs,
 * and is of that loop's thread. */
#ifndef PUMP_NODE_H
#define PUMP_NODE_H

#include <pump.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pump_node pump_node;

typedef struct pump_node_user {
  const char *name;
  const char *password;
} pump_node_user;

typedef struct pump_node_options {
  const char *file;   /* path of the store; NULL: in memory, gone when closed */
  bool sync_normal;   /* commit without waiting for the disk: a power cut may lose the last ones */
  const char *listen; /* "HOST:PORT" for other programs, port 0 picks one; NULL: nobody else */
  const char *http;   /* "HOST:PORT" for /gossip, /info, /ping, /subscriptions; NULL: no HTTP */
  /* Allow addresses that are not of this machine. With TLS, and with passwords of their own for
   * admin and ops, listen and http may be such ones without this. */
  bool insecure_listen;
  const char *tls_cert; /* files (PEM): what connections are encrypted with, HTTP too; NULL: not */
  const char *tls_key;
  const char *tls_ca; /* and clients have to show a certificate that one of these vouches for */
  bool http_faults;   /* let admins set faults over HTTP */
  const char *like;   /* the server to answer as: "4.1", "5.0", the default, or "23.10" */
  const pump_node_user *users; /* beside or instead of admin and ops, whose password is changeit */
  size_t user_count;
} pump_node_options;

PUMP_API void pump_node_options_init(pump_node_options *options);

/* Opens the store and starts to listen. On failure *node is NULL and error holds one line that
 * says what and where. PUMP_ESTORE, PUMP_EINVALID, PUMP_ENOMEM, PUMP_ECONNECT (the address),
 * PUMP_ETLS. */
PUMP_API int pump_node_new(pump_node **node, struct uv_loop_s *loop,
                           const pump_node_options *options, char *error, size_t error_size);

/* A connection of one's own, which acts as admin: *fd is the caller's end of a socket pair.
 * Its type is that of pump_options.open, with the node as ud. */
PUMP_API int pump_node_opener(void *node, int *fd);

/* "127.0.0.1:1113" as bound, or NULL when it does not listen. */
PUMP_API const char *pump_node_address(const pump_node *node);
/* The same of HTTP. */
PUMP_API const char *pump_node_http_address(const pump_node *node);
/* The version that it answers as: "5.0.8.0". */
PUMP_API const char *pump_node_version(const pump_node *node);

/* Ends every connection and closes the store; cb (may be NULL) when all is closed and freed. */
PUMP_API void pump_node_close(pump_node *node, void (*cb)(void *ud), void *ud);

/* ---- Faults ------------------------------------------------------------------------------- */

enum { PUMP_NODE_ALL = 0, PUMP_NODE_READS, PUMP_NODE_WRITES };

/* How a node misbehaves on purpose, for tests of programs that must live with it. All zero: not at
 * all. An answer is whatever a peer asked for (identification, pings and a subscription's events
 * too), but a heartbeat. */
typedef struct pump_node_faults {
  int not_handled;    /* requests are answered NotHandled, and not done: PUMP_ENOTREADY, PUMP_EBUSY
                         or PUMP_ENOTLEADER; 0: they are done */
  const char *leader; /* "HOST:PORT" that PUMP_ENOTLEADER names; NULL: it names none */
  uint64_t delay;     /* ms that an answer waits; others may overtake it */
  bool silent;        /* what was asked is done, and no answer sent; without only and count
                         heartbeats are not answered either */
  bool duplicate;     /* an answer comes twice */
  bool one_byte;      /* an answer is written byte by byte */
  bool cut;           /* the connection ends after cut_at bytes of an answer, head included */
  size_t cut_at;
  int only;       /* answers of these requests alone: PUMP_NODE_READS or PUMP_NODE_WRITES;
                         PUMP_NODE_ALL */
  double chance;  /* how probable it is that an answer is one of them, from 0 to 1; 0: all are */
  unsigned count; /* all of the above ends after that many answers; 0: never by itself */
  bool refuse;    /* connections that come in are ended at once */
  const char *gossip; /* what GET /gossip answers, byte for byte; NULL: the truth */
  uint64_t duration;  /* ms after which all of it ends; 0: never by itself */
} pump_node_faults;

/* From now on these; NULL: none. Answers that wait already still do. PUMP_EINVALID (a code, an
 * only, a chance or an address that is none), PUMP_ENOMEM: it goes on as before. */
PUMP_API int pump_node_set_faults(pump_node *node, const pump_node_faults *faults);
/* What is set, and how much of count and duration is left; valid until they are set again. */
PUMP_API pump_node_faults pump_node_get_faults(const pump_node *node);
/* Ends every connection that there is now, over TCP and of one's own. */
PUMP_API void pump_node_drop_connections(pump_node *node);

#ifdef __cplusplus
}
#endif

#endif

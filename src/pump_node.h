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
  bool insecure_listen; /* allow an address that is not of this machine */
  const char *like;     /* the server to answer as: "5.0", the default and so far the only one */
  const pump_node_user *users; /* beside or instead of admin and ops, whose password is changeit */
  size_t user_count;
} pump_node_options;

PUMP_API void pump_node_options_init(pump_node_options *options);

/* Opens the store and starts to listen. On failure *node is NULL and error holds one line that
 * says what and where. PUMP_ESTORE, PUMP_EINVALID, PUMP_ENOMEM, PUMP_ECONNECT (the address). */
PUMP_API int pump_node_new(pump_node **node, struct uv_loop_s *loop,
                           const pump_node_options *options, char *error, size_t error_size);

/* A connection of one's own, which acts as admin: *fd is the caller's end of a socket pair.
 * Its type is that of pump_options.open, with the node as ud. */
PUMP_API int pump_node_opener(void *node, int *fd);

/* "127.0.0.1:1113" as bound, or NULL when it does not listen. */
PUMP_API const char *pump_node_address(const pump_node *node);

/* Ends every connection and closes the store; cb (may be NULL) when all is closed and freed. */
PUMP_API void pump_node_close(pump_node *node, void (*cb)(void *ud), void *ud);

#ifdef __cplusplus
}
#endif

#endif

/* Addresses of a name, by the system's resolver.
 *
 * getaddrinfo cannot be stopped, and where no name server answers it takes half a minute. In
 * libuv's threads it would keep loops and the process from ending for so long, and others' names
 * from being looked up. So each has a thread of its own, which nobody waits for: one that is
 * cancelled is forgotten, and ends some day. */
#ifndef PUMP_NET_LOOKUP_H
#define PUMP_NET_LOOKUP_H

#include <netdb.h>
#include <uv.h>

typedef struct pump_lookup pump_lookup;

/* How it ended: addresses, which are gone when it returns; or a code of libuv's. The look-up is
 * gone by then. */
typedef void (*pump_lookup_cb)(void *ud, int code, const struct addrinfo *addresses);

/* Starts one, for connections by TCP. The callback is never called from inside of it. A code of
 * libuv's: UV_ENOMEM, UV_EAGAIN for too many that have not ended. */
int pump_lookup_start(pump_lookup **lookup, uv_loop_t *loop, const char *host, int port,
                      pump_lookup_cb cb, void *ud);
/* Ends it without its callback. */
void pump_lookup_cancel(pump_lookup *lookup);

#endif

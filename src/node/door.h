/* The door of HTTPS: it takes connections that speak TLS and hands each on in plain, as one end of
 * a socket pair, to an HTTP server that knows nothing of it.
 *
 * libmicrohttpd could do it itself, with another TLS library, and up to 1.0 it asks on an epoll
 * descriptor of somebody else's again and again while a handshake waits for its peer. */
#ifndef PUMP_NODE_DOOR_H
#define PUMP_NODE_DOOR_H

#include "pump_node.h"

typedef struct pump_door pump_door;

/* Takes over the listening socket, also when it fails. So many guests are in at once, and more wait
 * outside. enter gets a socket that is its own. PUMP_ENOMEM, PUMP_ECONNECT. */
int pump_door_open(pump_door **door, pump_node *node, int fd, unsigned max_guests,
                   void (*enter)(void *ud, int fd), void *ud);
void pump_door_close(pump_door *door);
bool pump_door_has_guests(const pump_door *door);
/* Once a tick of the node's, while there are guests: who does not come to an end has to go. */
void pump_door_tick(pump_door *door);
/* The socket outside that belongs to one that was handed on; -1: there is none. */
int pump_door_outside(const pump_door *door, int fd);

#endif

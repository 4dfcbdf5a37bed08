/* Where the node listens: "HOST:PORT" with HOST an address in numbers, [IPv6] in brackets, or
 * localhost. Addresses that other machines reach are refused unless somebody asked for them. */
#ifndef PUMP_NODE_LISTEN_H
#define PUMP_NODE_LISTEN_H

#include <pump.h>

/* Room for a host, and for one with a port. */
#define PUMP_HOST_SIZE    256
#define PUMP_ADDRESS_SIZE (PUMP_HOST_SIZE + 8)
/* Connections that may wait to be accepted. */
#define PUMP_NODE_BACKLOG 1024

/* A socket that listens there. PUMP_EINVALID, PUMP_ECONNECT: error holds one line. */
int pump_listen(int *fd, const char *where, const char *danger, char *error, size_t error_size);
/* This side of a socket; false where there is none. */
bool pump_listen_local(int fd, char host[PUMP_HOST_SIZE], int *port);
/* The same as text: "127.0.0.1:1113", "[::1]:1113". "" where there is none. */
void pump_listen_address(int fd, char text[PUMP_ADDRESS_SIZE]);
/* "HOST:PORT" in its halves; HOST may be a name. False where it is not that. */
bool pump_listen_split(const char *text, char host[PUMP_HOST_SIZE], int *port);

#endif

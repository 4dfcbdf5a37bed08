/* The node's HTTP port: libmicrohttpd, which has its own epoll descriptor, on the node's loop. Where
 * the node has TLS this port speaks it too.
 *
 * A guest gets a bounded number of bytes, and a moment for each request, answer included; there
 * are so many guests at once and more wait at the door. */
#ifndef PUMP_NODE_HTTP_H
#define PUMP_NODE_HTTP_H

#include "pump_node.h"

typedef struct pump_http pump_http;

/* Takes over the listening socket, also when it fails. PUMP_ENOMEM, PUMP_ECONNECT. */
int pump_http_open(pump_http **http, pump_node *node, int fd, const pump_node_options *options);
void pump_http_close(pump_http *http);
bool pump_http_has_guests(const pump_http *http);
/* Once a tick of the node's, while there are guests: whose time is over has to go. */
void pump_http_tick(pump_http *http);
const char *pump_http_address(const pump_http *http);

#endif

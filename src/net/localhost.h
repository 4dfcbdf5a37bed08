/* "localhost" is this machine, also where no file says so (RFC 6761): a minimal container has no
 * /etc/hosts. What the system resolves it to comes first. */
#ifndef PUMP_NET_LOCALHOST_H
#define PUMP_NET_LOCALHOST_H

#include <stdbool.h>
#include <strings.h>
#include <uv.h>

/* Whether the host is that name; then *address is where it leads. */
static inline bool pump_localhost(const char *host, int port, struct sockaddr_in *address) {
  return strcasecmp(host, "localhost") == 0 && uv_ip4_addr("127.0.0.1", port, address) == 0;
}

#endif

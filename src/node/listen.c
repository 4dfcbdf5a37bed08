#include "node/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

typedef union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_storage room;
} address;

bool pump_listen_split(const char *text, char host[PUMP_HOST_SIZE], int *port) {
  const char *colon = strrchr(text, ':');
  char *end;
  if (!colon || colon == text || (size_t)(colon - text) >= PUMP_HOST_SIZE) return false;
  long number = strtol(colon + 1, &end, 10);
  if (colon[1] < '0' || colon[1] > '9' || *end || number > 65535) return false;
  *port = (int)number;
  size_t size = (size_t)(colon - text);
  bool in_brackets = text[0] == '[' && colon[-1] == ']';
  if (in_brackets) {
    text++;
    size -= 2;
  }
  memcpy(host, text, size);
  host[size] = '\0';
  /* More colons belong to an IPv6 address, which stands in brackets. */
  return size > 0 && (in_brackets || !strchr(host, ':'));
}

static bool parse_address(const char *text, address *to) {
  char host[PUMP_HOST_SIZE];
  int port;
  if (!pump_listen_split(text, host, &port)) return false;
  if (text[0] == '[') return uv_ip6_addr(host, port, &to->v6) == 0;
  return uv_ip4_addr(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, &to->v4) == 0;
}

static bool is_loopback(const address *at) {
  if (at->any.sa_family == AF_INET) return ntohl(at->v4.sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&at->v6.sin6_addr);
}

int pump_listen(int *fd, const char *where, const char *danger, char *error, size_t error_size) {
  address at = {0};
  *fd = -1;
  if (!parse_address(where, &at)) {
    snprintf(error, error_size, "%s: no address to listen at: say HOST:PORT, as 127.0.0.1:1113",
             where);
    return PUMP_EINVALID;
  }
  if (danger && !is_loopback(&at)) {
    snprintf(error, error_size,
             "%s: other machines could reach the node there, %s: listen at 127.0.0.1, or allow it "
             "with insecure_listen",
             where, danger);
    return PUMP_EINVALID;
  }
  int on = 1;
  socklen_t size = at.any.sa_family == AF_INET ? sizeof at.v4 : sizeof at.v6;
  *fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(*fd, &at.any, size) == 0 && listen(*fd, PUMP_NODE_BACKLOG) == 0)
    return 0;
  snprintf(error, error_size, "%s: cannot listen: %s", where, strerror(errno));
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return PUMP_ECONNECT;
}

bool pump_listen_local(int fd, char host[PUMP_HOST_SIZE], int *port) {
  address at;
  socklen_t size = sizeof at;
  if (getsockname(fd, &at.any, &size) != 0) return false;
  if (at.any.sa_family == AF_INET) {
    *port = ntohs(at.v4.sin_port);
    return uv_ip4_name(&at.v4, host, PUMP_HOST_SIZE) == 0;
  }
  if (at.any.sa_family != AF_INET6) return false;
  *port = ntohs(at.v6.sin6_port);
  /* Somebody with IPv4 at a socket that takes both. */
  if (IN6_IS_ADDR_V4MAPPED(&at.v6.sin6_addr))
    return uv_inet_ntop(AF_INET, &at.v6.sin6_addr.s6_addr[12], host, PUMP_HOST_SIZE) == 0;
  return uv_ip6_name(&at.v6, host, PUMP_HOST_SIZE) == 0;
}

void pump_listen_address(int fd, char text[PUMP_ADDRESS_SIZE]) {
  char host[PUMP_HOST_SIZE];
  int port;
  text[0] = '\0';
  if (pump_listen_local(fd, host, &port))
    snprintf(text, PUMP_ADDRESS_SIZE, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

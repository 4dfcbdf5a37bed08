/* Names of a spec's own: every one leads to the addresses that it says, and sockets listen there. */
#ifndef SPEC_OWN_NAMES_H
#define SPEC_OWN_NAMES_H

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>

static const char *addresses[3]; /* of every name */

/* The library finds this one before the system's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found) {
  struct addrinfo **last = found;
  (void)host, (void)hints;
  *found = NULL;
  for (int i = 0; i < 3 && addresses[i]; i++) {
    struct addrinfo *it = calloc(1, sizeof *it);
    struct sockaddr_in *address = calloc(1, sizeof *address);
    if (!it || !address) abort();
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)atoi(service));
    inet_pton(AF_INET, addresses[i], &address->sin_addr);
    *it = (struct addrinfo){.ai_family = AF_INET,
                            .ai_socktype = SOCK_STREAM,
                            .ai_addrlen = sizeof *address,
                            .ai_addr = (struct sockaddr *)address};
    *last = it;
    last = &it->ai_next;
  }
  return *found ? 0 : EAI_NONAME;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *first) {
  while (first) {
    struct addrinfo *next = first->ai_next;
    free(first->ai_addr);
    free(first);
    first = next;
  }
}

/* A socket that listens, and its port (any for 0). */
static inline int listen_at(const char *address, int *port, int backlog) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  socklen_t size = sizeof place;
  inet_pton(AF_INET, address, &place.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd, (struct sockaddr *)&place, size) != 0 || listen(fd, backlog) != 0) return -1;
  getsockname(fd, (struct sockaddr *)&place, &size);
  *port = ntohs(place.sin_port);
  return fd;
}

#endif

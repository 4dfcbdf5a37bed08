/* Preloaded in front of a program: names below .slow take the seconds that SLOW_RESOLVER says, as
 * where no name server answers. All others are resolved. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found) {
  typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  size_t size = host ? strlen(host) : 0;
  if (size > 5 && strcmp(host + size - 5, ".slow") == 0) {
    const char *seconds = getenv("SLOW_RESOLVER");
    sleep(seconds ? (unsigned)atoi(seconds) : 10);
    return EAI_AGAIN;
  }
  resolver *real = (resolver *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
  return real ? real(host, service, hints, found) : EAI_FAIL;
}

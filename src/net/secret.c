#define _DEFAULT_SOURCE /* madvise */
#include "net/secret.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

/* The length of the mapping is that of the text: the system rounds both up to whole pages. */
char *pump_secret_copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *secret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (secret == MAP_FAILED) return NULL;
#ifdef MADV_DONTDUMP
  madvise(secret, size, MADV_DONTDUMP); /* where it is not known the core file has it */
#endif
  return memcpy(secret, text, size);
}

void pump_secret_free(char *secret) {
  if (!secret) return;
  size_t size = strlen(secret) + 1;
  explicit_bzero(secret, size);
  munmap(secret, size);
}

#include "net/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads of this process that ask, with those that nobody waits for any more. */
#define MAX_ASKING 64
/* glibc's resolver has some KiB of answers on its stack, and modules of its own. */
#define STACK_SIZE ((size_t)512 * 1024)

/* What the thread has. The last of the two frees it. */
typedef struct question {
  pthread_mutex_t lock;
  pump_lookup *asker; /* NULL: nobody wants to know any more */
  bool is_answered;
  int code; /* EAI_… */
  int error;
  struct addrinfo *addresses;
  char service[16];
  char host[];
} question;

struct pump_lookup {
  uv_async_t answered;
  question *question;
  pump_lookup_cb cb;
  void *ud;
};

static atomic_int asking;

/* ---- In the thread ------------------------------------------------------------------------ */

static void free_question(question *it) {
  if (it->addresses) freeaddrinfo(it->addresses);
  pthread_mutex_destroy(&it->lock);
  free(it);
}

static void *ask(void *ud) {
  question *it = ud;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *addresses = NULL;
  int code = getaddrinfo(it->host, it->service, &hints, &addresses), error = errno;
  pthread_mutex_lock(&it->lock);
  it->code = code;
  it->error = error;
  it->addresses = code == 0 ? addresses : NULL;
  it->is_answered = true;
  bool is_wanted = it->asker != NULL;
  if (is_wanted) uv_async_send(&it->asker->answered);
  pthread_mutex_unlock(&it->lock);
  if (!is_wanted) free_question(it);
  atomic_fetch_sub(&asking, 1);
  return NULL;
}

/* It is nobody's to wait for, and gets no signal of the program's. */
static int start_thread(question *it) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, before;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&thread, &attributes, ask, it);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return -code;
}

/* ---- On the loop -------------------------------------------------------------------------- */

static int code_of(const question *it) {
  switch (it->code) {
  case 0: return 0;
  case EAI_AGAIN: return UV_EAI_AGAIN;
  case EAI_FAIL: return UV_EAI_FAIL;
  case EAI_FAMILY: return UV_EAI_FAMILY;
  case EAI_MEMORY: return UV_EAI_MEMORY;
  case EAI_SERVICE: return UV_EAI_SERVICE;
  case EAI_SYSTEM: return it->error ? -it->error : UV_EIO;
  default: return UV_EAI_NONAME;
  }
}

static void on_gone(uv_handle_t *handle) {
  free(handle); /* a look-up's first member */
}

static void on_answered(uv_async_t *handle) {
  pump_lookup *lookup = (pump_lookup *)(void *)handle;
  question *it = lookup->question;
  pump_lookup_cb cb = lookup->cb;
  void *ud = lookup->ud;
  /* The thread may not have let go of it yet. */
  pthread_mutex_lock(&it->lock);
  pthread_mutex_unlock(&it->lock);
  uv_close((uv_handle_t *)handle, on_gone);
  cb(ud, code_of(it), it->addresses);
  free_question(it);
}

void pump_lookup_cancel(pump_lookup *lookup) {
  question *it = lookup->question;
  pthread_mutex_lock(&it->lock);
  bool is_answered = it->is_answered;
  it->asker = NULL;
  pthread_mutex_unlock(&it->lock);
  if (is_answered) free_question(it);
  uv_close((uv_handle_t *)&lookup->answered, on_gone);
}

static question *make_question(pump_lookup *asker, const char *host, int port) {
  size_t size = strlen(host) + 1;
  question *it = calloc(1, sizeof *it + size);
  if (!it) return NULL;
  pthread_mutex_init(&it->lock, NULL);
  it->asker = asker;
  snprintf(it->service, sizeof it->service, "%d", port);
  memcpy(it->host, host, size);
  return it;
}

int pump_lookup_start(pump_lookup **out, uv_loop_t *loop, const char *host, int port,
                      pump_lookup_cb cb, void *ud) {
  *out = NULL;
  pump_lookup *lookup = calloc(1, sizeof *lookup);
  question *it = lookup ? make_question(lookup, host, port) : NULL;
  int code = it ? uv_async_init(loop, &lookup->answered, on_answered) : UV_ENOMEM;
  if (code != 0) {
    if (it) free_question(it);
    free(lookup);
    return code;
  }
  lookup->question = it;
  lookup->cb = cb;
  lookup->ud = ud;
  if (atomic_fetch_add(&asking, 1) >= MAX_ASKING || (code = start_thread(it)) != 0) {
    atomic_fetch_sub(&asking, 1);
    free_question(it);
    uv_close((uv_handle_t *)&lookup->answered, on_gone);
    return code != 0 ? code : UV_EAGAIN;
  }
  *out = lookup;
  return 0;
}

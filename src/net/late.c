#define _GNU_SOURCE /* dladdr */
#include "net/late.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "core_net.so"

/* Only ever set to the one table that there is; it stays loaded. */
static _Atomic(const pump_late *) late;

/* core_net.so is where this object is. */
static void *open_beside_us(void) {
  Dl_info us;
  char path[PATH_MAX];
  if (dladdr(&late, &us) == 0) return NULL;
  const char *slash = strrchr(us.dli_fname, '/');
  int folder = slash ? (int)(slash + 1 - us.dli_fname) : 0;
  int size = snprintf(path, sizeof path, "%.*s%s", folder, us.dli_fname, FILE_NAME);
  return size < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static const pump_late *load(void) {
  const pump_late *table = late;
  if (table) return table;
  void *object = open_beside_us();
  table = object ? dlsym(object, PUMP_LATE_SYMBOL) : NULL;
  late = table;
  return table;
}

int pump_tls_context_new(pump_tls_context **context, bool is_server,
                         const pump_tls_options *options, char *error, size_t error_size) {
  const pump_late *table = load();
  if (table) return table->pump_tls_context_new(context, is_server, options, error, error_size);
  const char *why = dlerror();
  snprintf(error, error_size, "TLS cannot be loaded: %s",
           why ? why : FILE_NAME " is another one's");
  return PUMP_ETLS;
}

void pump_tls_context_free(pump_tls_context *context) {
  if (context) late->pump_tls_context_free(context);
}

void pump_tls_free(pump_tls *tls) {
  if (tls) late->pump_tls_free(tls);
}

int pump_fetcher_new(pump_fetcher **http, uv_loop_t *loop) {
  const pump_late *table = load();
  return table ? table->pump_fetcher_new(http, loop) : PUMP_ENOTSUPPORTED;
}

/* ---- What there is only where something was made, and so the table --------------------------- */

int pump_tls_new(pump_tls **tls, const pump_tls_context *context, const char *name) {
  return late->pump_tls_new(tls, context, name);
}

void pump_tls_space(pump_tls *tls, uint8_t **to, size_t *size) {
  late->pump_tls_space(tls, to, size);
}

int pump_tls_filled(pump_tls *tls, size_t size) {
  return late->pump_tls_filled(tls, size);
}

pump_buffer *pump_tls_output(pump_tls *tls) {
  return late->pump_tls_output(tls);
}

int pump_tls_handshake(pump_tls *tls) {
  return late->pump_tls_handshake(tls);
}

int pump_tls_read(pump_tls *tls, void *to, size_t size, size_t *got) {
  return late->pump_tls_read(tls, to, size, got);
}

int pump_tls_write(pump_tls *tls, const void *data, size_t size) {
  return late->pump_tls_write(tls, data, size);
}

void pump_tls_end(pump_tls *tls) {
  late->pump_tls_end(tls);
}

const char *pump_tls_words(const pump_tls *tls) {
  return late->pump_tls_words(tls);
}

const char *pump_tls_cut_words(pump_tls *tls) {
  return late->pump_tls_cut_words(tls);
}

void pump_fetcher_close(pump_fetcher *http, void (*closed)(void *ud), void *ud) {
  late->pump_fetcher_close(http, closed, ud);
}

int pump_fetch_start(pump_fetch **get, pump_fetcher *http, const pump_fetch_request *request,
                     pump_fetch_cb cb, void *ud) {
  return late->pump_fetch_start(get, http, request, cb, ud);
}

void pump_fetch_cancel(pump_fetch *get) {
  late->pump_fetch_cancel(get);
}

/* What of net needs OpenSSL and libcurl, as a table. Those two take several times as long to load
 * as all the rest of the Lua module, and most programs want neither TLS nor a cluster: so in the
 * Lua module the table is in an object of its own, core_net.so, which late.c loads when it is
 * needed first. libpump and pumpsh call the functions themselves and know nothing of this. */
#ifndef PUMP_NET_LATE_H
#define PUMP_NET_LATE_H

#include "net/http.h"
#include "net/tls.h"

#define PUMP_LATE_MAP(XX)                                                                          \
  XX(pump_tls_context_new)                                                                         \
  XX(pump_tls_context_free)                                                                        \
  XX(pump_tls_new)                                                                                 \
  XX(pump_tls_free)                                                                                \
  XX(pump_tls_space)                                                                               \
  XX(pump_tls_filled)                                                                              \
  XX(pump_tls_output)                                                                              \
  XX(pump_tls_handshake)                                                                           \
  XX(pump_tls_read)                                                                                \
  XX(pump_tls_write)                                                                               \
  XX(pump_tls_end)                                                                                 \
  XX(pump_tls_words)                                                                               \
  XX(pump_tls_cut_words)                                                                           \
  XX(pump_fetcher_new)                                                                             \
  XX(pump_fetcher_close)                                                                           \
  XX(pump_fetch_start)                                                                             \
  XX(pump_fetch_cancel)

typedef struct pump_late {
#define XX(name) __typeof__(name) *name;
  PUMP_LATE_MAP(XX)
#undef XX
} pump_late;

/* The name of the table in core_net.so. */
#define PUMP_LATE_SYMBOL "pump_late_table"

#endif

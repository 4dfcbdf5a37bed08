/* GET requests by libcurl, on the caller's loop.
 *
 * Each has a deadline and a limit to what it takes in. Nothing is looked up here: a request names
 * the address that it goes to, and the host that it is for. Requests go straight there, whatever
 * the environment says of proxies, and follow no redirection. */
#ifndef PUMP_NET_HTTP_H
#define PUMP_NET_HTTP_H

#include <pump.h>
#include <uv.h>

typedef struct pump_fetcher pump_fetcher;
typedef struct pump_fetch pump_fetch;

typedef struct pump_fetch_request {
  const char *host;    /* a name or an address, without brackets; a certificate has to name it */
  const char *address; /* an address of it, without brackets */
  int port;
  const char *path;            /* "/gossip?format=json" */
  const pump_tls_options *tls; /* NULL: plain HTTP */
  uint64_t timeout;            /* ms */
  size_t max_size;             /* of the body */
} pump_fetch_request;

/* In place of a code: TLS was wanted, and whoever is there answered with something else, or hung
 * up, or said nothing. Who speaks TLS and refuses, or cannot prove who he is, is PUMP_ETLS. */
#define PUMP_FETCH_NO_TLS 1

/* How it ended: the body of an answer 200; or a code (PUMP_ECONNECT; PUMP_ETIMEOUT: connected, and
 * then no answer in time; PUMP_ETLS, PUMP_FETCH_NO_TLS, PUMP_EPROTOCOL, PUMP_ENOMEM) and a few
 * words. The get is gone by then. */
typedef void (*pump_fetch_cb)(void *ud, int status, pump_bytes body, const char *message);

/* PUMP_ENOMEM. */
int pump_fetcher_new(pump_fetcher **http, uv_loop_t *loop);
/* The callback is never called from inside of this. PUMP_ENOMEM, PUMP_EINVALID. */
int pump_fetch_start(pump_fetch **get, pump_fetcher *http, const pump_fetch_request *request,
                     pump_fetch_cb cb, void *ud);
/* Ends it without its callback. */
void pump_fetch_cancel(pump_fetch *get);
/* Cancels what is left. No callback follows but `closed`. */
void pump_fetcher_close(pump_fetcher *http, void (*closed)(void *ud), void *ud);

#endif

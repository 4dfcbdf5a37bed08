/* Asking the members of a cluster by HTTP, until one tells what is of use.
 *
 * Rounds: in each every seed, every address that its name has, and every member that is known
 * is asked once, in random order. The next one is asked when one has failed, or has let us wait
 * for a moment: so neither dead seeds nor slow ones cost much. Between rounds is a pause. */
#ifndef PUMP_CLIENT_DISCOVERY_H
#define PUMP_CLIENT_DISCOVERY_H

#include "base/url.h"

struct uv_loop_s;
typedef struct pump_discovery pump_discovery;

typedef struct pump_discovery_options {
  const char *seeds;           /* "HOST[:PORT],…" */
  const char *path;            /* "/gossip?format=json"; the caller keeps it */
  pump_members *known;         /* from before, or NULL; copied */
  const pump_tls_options *tls; /* for HTTPS, or NULL: plain HTTP; the caller keeps it */
  bool may_be_plain;           /* whoever does not speak TLS is asked by plain HTTP */
  uint64_t timeout;            /* of one answer, ms */
  uint64_t deadline; /* of all of it, as pump_client_now; UINT64_MAX: the owner's matter */
} pump_discovery_options;

/* Called from the loop, never from inside a function of this header. */
typedef struct pump_discovery_events {
  /* Somebody answered. True: that was it, nobody else is asked for now. False: it is of no use,
   * and why (a few words to write) is noted. */
  bool (*told)(void *ud, pump_bytes body, char *why, size_t size);
  /* The deadline has come; only close may follow. */
  void (*gave_up)(void *ud);
  /* What is told next came by plain HTTP although TLS was wanted: of this host, and why. */
  void (*was_plain)(void *ud, const char *host, int port, const char *why);
} pump_discovery_events;

/* The hosts of a list of seeds, or PUMP_EINVALID, PUMP_ENOMEM. */
int pump_seeds_parse(pump_url **hosts, const char *seeds);

int pump_discovery_new(pump_discovery **discovery, struct uv_loop_s *loop,
                       const pump_discovery_options *options, const pump_discovery_events *events,
                       void *ud);
/* What was told last was of no use after all, for that reason: asks on. */
void pump_discovery_go_on(pump_discovery *discovery, const char *why);
/* One line: who was asked, and what became of it. */
void pump_discovery_describe(const pump_discovery *discovery, char *text, size_t size);
/* No event follows but `closed`. */
void pump_discovery_close(pump_discovery *discovery, void (*closed)(void *ud), void *ud);

#endif

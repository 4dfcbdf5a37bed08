/* Where to connect, as people write it:
 *
 *   tcp://[USER[:PASSWORD]@]HOST[:PORT][?OPTION=VALUE&…]     tcps:// the same with TLS
 *   discover://…, esdb://…, kurrentdb://…                    also HOST,HOST:PORT,…
 *   HOST:PORT                                                tcp
 *   memory:[?…]   file:PATH[?…]                              the embedded node
 *
 * esdb and kurrentdb also as esdb+discover, and as kurrent and kdb, as their own clients allow.
 * User, password, path and options may hold %XX; an IPv6 address stands in [brackets]. */
#ifndef PUMP_BASE_URL_H
#define PUMP_BASE_URL_H

#include "base/buffer.h"

typedef enum pump_url_kind {
  PUMP_URL_TCP,
  PUMP_URL_DISCOVER,
  PUMP_URL_GRPC,
  PUMP_URL_MEMORY,
  PUMP_URL_FILE
} pump_url_kind;

typedef struct pump_url_host {
  const char *name; /* without brackets */
  int port;         /* the scheme's, where the URL has none */
} pump_url_host;

typedef struct pump_url_option {
  const char *key;
  const char *value;
} pump_url_option;

typedef struct pump_url {
  pump_url_kind kind;
  const char *scheme;   /* in lower case: "tcps", "esdb+discover" */
  bool tls;             /* tcps */
  bool discover;        /* discover, esdb+discover */
  const char *username; /* NULL: none given */
  const char *password;
  const char *path;           /* of a file */
  const pump_url_host *hosts; /* one for tcp, none for memory and file, else one or more */
  size_t host_count;
  const pump_url_option *options; /* see pump_url_next */
  size_t option_count;
  size_t size; /* of all this, which is wiped when it is freed */
} pump_url;

/* On failure *url is NULL and error holds one line that says what is wrong and at which byte
 * (counted from 1), without a word that could be of the password. PUMP_EINVALID, PUMP_ENOMEM. */
int pump_url_parse(pump_url **url, pump_bytes text, char *error, size_t error_size);
void pump_url_free(pump_url *url); /* NULL is fine */

/* The options one by one, in their order: start with *at = 0; false behind the last. No option
 * stands twice; which ones there are is the caller's to know. */
bool pump_url_next(const pump_url *url, size_t *at, const char **key, const char **value);

/* Appends the text with *** in place of the password. Any text will do, a wrong URL too: rather
 * too much is hidden than too little. */
void pump_url_redact(pump_buffer *to, pump_bytes text);

#endif

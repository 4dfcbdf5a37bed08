#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "net/secret.h"
#include "wire/tcp/frame.h"

void pump_options_init(pump_options *options) {
  *options = (pump_options){
      .host = "127.0.0.1",
      .port = 1113,
      .tls.verify = true,
      .timeout = 7000,
      .connect_timeout = 5000,
      .heartbeat_interval = 2000,
      .heartbeat_timeout = 5000,
      .max_in_flight = 2000,
      .max_queued = 20000,
      .reconnect_delay = 100,
      .reconnect_max_delay = 5000,
      .reconnect_attempts = PUMP_NO_LIMIT,
      .retries = PUMP_NO_LIMIT,
      .log_level = PUMP_LOG_INFO,
  };
}

static bool fits(const char *text) {
  return !text || strlen(text) <= PUMP_TCP_MAX_LOGIN;
}

static bool are_seeds(const char *seeds) {
  pump_url *hosts;
  bool are = pump_seeds_parse(&hosts, seeds) != PUMP_EINVALID;
  pump_url_free(hosts);
  return are;
}

static bool make_sense(const pump_options *options) {
  bool somewhere = options->seeds ? !options->open && are_seeds(options->seeds)
                                  : options->open || (options->host && options->host[0] &&
                                                      options->port > 0 && options->port <= 65535);
  bool is_gossip = options->gossip >= PUMP_GOSSIP_AS_FITS && options->gossip <= PUMP_GOSSIP_TLS;
  return somewhere && is_gossip && fits(options->username) && fits(options->password) &&
         options->timeout > 0 && options->connect_timeout > 0 && options->max_in_flight > 0 &&
         options->max_queued > 0 && options->selector >= PUMP_SELECT_LEADER &&
         options->selector <= PUMP_SELECT_RANDOM;
}

/* Sums of such times with the clock don't overflow. */
static uint64_t at_most_for_ever(uint64_t time) {
  return time < UINT64_MAX / 4 ? time : UINT64_MAX / 4;
}

static bool copy_text(const char **text) {
  if (!*text) return true;
  *text = strdup(*text);
  return *text != NULL;
}

int pump_options_copy(pump_options *to, const pump_options *from) {
  if (!make_sense(from)) return PUMP_EINVALID;
  *to = *from;
  to->connect_timeout = at_most_for_ever(from->connect_timeout);
  to->heartbeat_interval = at_most_for_ever(from->heartbeat_interval);
  to->heartbeat_timeout = at_most_for_ever(from->heartbeat_timeout);
  bool copied = copy_text(&to->host);
  copied &= copy_text(&to->seeds);
  copied &= copy_text(&to->username);
  if (to->password) copied &= (to->password = pump_secret_copy(to->password)) != NULL;
  copied &= copy_text(&to->name);
  copied &= copy_text(&to->tls.ca);
  copied &= copy_text(&to->tls.cert);
  copied &= copy_text(&to->tls.key);
  copied &= copy_text(&to->tls.server_name);
  if (copied) return 0;
  pump_options_free(to);
  return PUMP_ENOMEM;
}

void pump_options_free(pump_options *options) {
  const char *texts[] = {options->host,    options->seeds,          options->username,
                         options->name,    options->tls.ca,         options->tls.cert,
                         options->tls.key, options->tls.server_name};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    free((char *)(uintptr_t)texts[i]);
  pump_secret_free((char *)(uintptr_t)options->password);
  options->host = options->seeds = options->username = options->password = options->name = NULL;
  options->tls = (pump_tls_options){0};
}

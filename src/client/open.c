/* A client's way to a server: the socket, TLS where it is wanted, and the session on it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "client/client.h"

/* The TLS of one connection to the host, or NULL where none is wanted. */
static int make_tls(pump_client *client, const char *host, pump_tls **tls, char *error,
                    size_t error_size) {
  const pump_tls_options *options = &client->options.tls;
  *tls = NULL;
  if (!options->enable) return 0;
  int code = 0;
  if (!client->tls) code = pump_tls_context_new(&client->tls, false, options, error, error_size);
  if (code != 0) return code;
  const char *name = options->server_name ? options->server_name : host;
  if (!options->verify)
    pump_client_log(client, PUMP_LOG_WARNING, NULL,
                    "TLS without verification: anybody could pose as %s", name);
  code = pump_tls_new(tls, client->tls, name);
  if (code != 0) snprintf(error, error_size, "TLS: %s is no name for a server", name);
  return code == PUMP_EINVALID ? PUMP_ETLS : code;
}

/* The program may close the client while it is asked. */
static int take_socket(pump_client *client, int *fd) {
  int code = client->options.open(client->options.open_ud, fd);
  if (code != 0 || !client->is_closing) return code;
  close(*fd);
  return PUMP_ECLOSED;
}

int pump_client_open(pump_client *client, pump_stream **stream, const char *host, int port,
                     const pump_stream_events *events) {
  pump_tls *tls;
  char error[512];
  int fd, code = make_tls(client, host, &tls, error, sizeof error);
  if (code == PUMP_ETLS)
    return pump_stream_refuse(stream, client->loop, code, error, events, client);
  if (code != 0) return code;
  if (!client->options.open)
    code =
        pump_stream_connect(stream, client->loop, host, port, &client->passed_over, events, client);
  else if ((code = take_socket(client, &fd)) == 0)
    code = pump_stream_open(stream, client->loop, fd, events, client);
  if (code != 0)
    pump_tls_free(tls);
  else if (tls)
    pump_stream_secure(*stream, tls);
  return code;
}

/* ---- Where it leads ----------------------------------------------------------------------- */

void pump_client_name_endpoint(pump_client *client, const char *host, int port) {
  if (client->options.open)
    snprintf(client->endpoint, sizeof client->endpoint, "embedded");
  else
    pump_address_write(client->endpoint, sizeof client->endpoint, host, port);
  client->known_as[0] = '\0';
}

void pump_client_know_as(pump_client *client, const char *host, int port) {
  pump_address_write(client->known_as, sizeof client->known_as, host, port);
}

bool pump_client_is_at(const pump_client *client, const char *host, int port) {
  char name[sizeof client->endpoint];
  pump_address_write(name, sizeof name, host, port);
  return strcmp(name, client->endpoint) == 0 || strcmp(name, client->known_as) == 0;
}

/* ---- Which address of a name -------------------------------------------------------------- */

static int reach_host(pump_client *client) {
  const pump_options *options = &client->options;
  pump_client_name_endpoint(client, options->host, options->port);
  return pump_client_reach(client, &client->stream, options->host, options->port);
}

int pump_client_seek(pump_client *client) {
  bool is_cluster = client->options.seeds != NULL;
  int code = is_cluster ? pump_cluster_find(client) : reach_host(client);
  if (code != 0) return code;
  uint64_t half = pump_client_now() + client->options.connect_timeout / 2;
  client->address_deadline = is_cluster ? 0 : half;
  pump_client_limit_connecting(client);
  return 0;
}

void pump_client_limit_connecting(pump_client *client) {
  client->connect_deadline = pump_client_now() + client->options.connect_timeout;
  pump_client_set_timer(client);
}

void pump_client_pass_over(pump_client *client) {
  if (client->stream) pump_stream_address(client->stream, &client->passed_over);
}

void pump_client_try_elsewhere(pump_client *client) {
  struct sockaddr_storage silent;
  bool accepted = client->session || (client->stream && pump_stream_is_securing(client->stream));
  client->address_deadline = 0;
  if (!accepted || !pump_stream_address(client->stream, &silent)) return;
  pump_client_log(client, PUMP_LOG_DEBUG, NULL,
                  "%s: an address of it accepted, but did not answer: on to the next",
                  client->endpoint);
  client->passed_over = silent;
  pump_client_drop_connection(client);
  int code = reach_host(client);
  if (code != 0) pump_client_lose(client, code, pump_error_sentence(code));
}

/* ---- The session on it -------------------------------------------------------------------- */

static void on_session_log(void *ud, int level, const char *line, const pump_log_fields *fields) {
  pump_client *client = ud;
  pump_client_log(client, level, fields, "%s: %s", client->endpoint, line);
}

int pump_client_start_session(pump_client *client) {
  pump_session_options options = {
      .name = pump_bytes_of(client->options.name),
      .username = pump_bytes_of(client->options.username),
      .password = pump_bytes_of(client->options.password),
      .heartbeat_interval = client->options.heartbeat_interval,
      .heartbeat_timeout = client->options.heartbeat_timeout,
      .is_secure = client->options.tls.enable,
      .log = on_session_log,
      .log_ud = client,
      .traces = client->options.log && client->options.log_level >= PUMP_LOG_TRACE,
      .frames_in = &client->stats.frames_in,
  };
  char name[24];
  int code = pump_random_take(options.seed, sizeof options.seed);
  if (code == 0 && !client->options.name) {
    uint32_t number = 0;
    code = pump_random_take(&number, sizeof number);
    snprintf(name, sizeof name, "pump-%08x", number);
    options.name = pump_bytes_of(name);
  }
  return code == 0 ? pump_session_new(&client->session, &options, pump_client_now()) : code;
}

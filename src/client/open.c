/* A client's way to a server: the socket, and TLS where it is wanted. */
#include <stdio.h>

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
    pump_client_log(client, PUMP_LOG_WARNING, "TLS without verification: anybody could pose as %s",
                    name);
  code = pump_tls_new(tls, client->tls, name);
  if (code != 0) snprintf(error, error_size, "TLS: %s is no name for a server", name);
  return code == PUMP_EINVALID ? PUMP_ETLS : code;
}

int pump_client_open(pump_client *client, const char *host, int port,
                     const pump_stream_events *events) {
  pump_tls *tls;
  char error[512];
  int fd, code = make_tls(client, host, &tls, error, sizeof error);
  if (code == PUMP_ETLS)
    return pump_stream_refuse(&client->stream, client->loop, code, error, events, client);
  if (code != 0) return code;
  if (!client->options.open)
    code = pump_stream_connect(&client->stream, client->loop, host, port, events, client);
  else if ((code = client->options.open(client->options.open_ud, &fd)) == 0)
    code = pump_stream_open(&client->stream, client->loop, fd, events, client);
  if (code != 0)
    pump_tls_free(tls);
  else if (tls)
    pump_stream_secure(client->stream, tls);
  return code;
}

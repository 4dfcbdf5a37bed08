#include "client/address.h"

#include <stdio.h>
#include <string.h>

#include "client/client.h"

void pump_address_write(char *text, size_t size, const char *host, int port) {
  snprintf(text, size, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

void pump_address_find(pump_client *client, const char *host, int port, pump_address_cb then) {
  if (!client->options.resolve) {
    then(client, host, port);
    return;
  }
  client->address = (pump_address){.then = then};
  client->options.resolve(client->options.resolve_ud, client, host, port);
}

void pump_address_forget(pump_client *client) {
  client->address.then = NULL;
  client->address.is_known = false;
}

void pump_address_tell(pump_client *client) {
  pump_address found = client->address;
  pump_address_forget(client);
  found.then(client, found.host[0] ? found.host : NULL, found.port);
}

int pump_client_resolved(pump_client *client, const char *host, int port) {
  pump_address *address = &client->address;
  if (!address->then || address->is_known || client->is_closing) return PUMP_EINVALID;
  bool fits = host && strlen(host) < sizeof address->host && port > 0 && port <= 65535;
  snprintf(address->host, sizeof address->host, "%s", fits ? host : "");
  address->port = port;
  address->is_known = true;
  pump_client_set_timer(client);
  return 0;
}

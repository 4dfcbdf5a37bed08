/* An address that a server named: it is taken as it is, or as the program maps it
 * (pump_options.resolve). One is looked up at a time. */
#ifndef PUMP_CLIENT_ADDRESS_H
#define PUMP_CLIENT_ADDRESS_H

#include <pump.h>

/* host NULL: it cannot be reached. */
typedef void (*pump_address_cb)(pump_client *client, const char *host, int port);

typedef struct pump_address {
  pump_address_cb then; /* while one is looked up */
  bool is_known;        /* the program has answered, what nobody has been told yet */
  char host[256];       /* "": it cannot be reached */
  int port;
} pump_address;

/* As HOST:PORT, or [HOST]:PORT. */
void pump_address_write(char *text, size_t size, const char *host, int port);

/* Looks it up, in place of any that is; `then` may be called at once. */
void pump_address_find(pump_client *client, const char *host, int port, pump_address_cb then);
/* Nobody wants to know any more. */
void pump_address_forget(pump_client *client);
/* Tells what the program has answered. */
void pump_address_tell(pump_client *client);

#endif

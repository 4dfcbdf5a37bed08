/* What a node tells about itself over HTTP, as a single server of its kind does. */
#ifndef PUMP_NODE_PAGES_H
#define PUMP_NODE_PAGES_H

#include "base/buffer.h"
#include "node/like.h"
#include "node/listen.h"

typedef struct pump_self {
  pump_like like;
  pump_guid instance;
  pump_guid epoch;
  char tcp_host[PUMP_HOST_SIZE]; /* as the asker reaches it; port 0: it does not listen */
  int tcp_port;
  bool is_secure; /* that port speaks TLS */
  char http_host[PUMP_HOST_SIZE];
  int http_port;
  int64_t now; /* microseconds since 1970 */
  int64_t last_position;
  int64_t end_position;
} pump_self;

void pump_page_gossip(pump_buffer *out, const pump_self *self);
/* "5.0.8.0" */
const char *pump_page_version(pump_like like);
void pump_page_info(pump_buffer *out, pump_like like);
void pump_page_ping(pump_buffer *out);

#endif

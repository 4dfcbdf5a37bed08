/* "Not here, ask the leader": the client moves there. The connection that it has stays in use until
 * there is one to the leader, so that an address that leads nowhere costs nobody anything. */
#ifndef PUMP_CLIENT_REDIRECT_H
#define PUMP_CLIENT_REDIRECT_H

#include "conversation/conversation.h"
#include "net/stream.h"

typedef struct pump_redirect {
  char host[256]; /* of the leader, as it was named */
  int port;
  uint64_t deadline;   /* until it has to be reached; 0: nobody is being moved to */
  pump_stream *stream; /* to it, while it is being connected */
  char to_host[256];   /* where that leads */
  int to_port;
  bool must_discover; /* it was not named: gossip will tell */

  char refused_host[256]; /* who could not be reached, and until when that is believed */
  int refused_port;
  uint64_t refused_until;
  char why[400];
} pump_redirect;

/* An answer says that somebody else is the leader. PUMP_MOVE: the conversation waits for that;
 * PUMP_RETRY: it is to be asked again here, after a while; PUMP_DONE: it is of no use. */
pump_decision pump_redirect_take(pump_client *client, pump_conversation *conversation);
/* The leader is there, though nobody has asked for it: goes there, if that is worth a try. */
void pump_redirect_to(pump_client *client, const char *host, int port);
/* Behind the last of the answers that came at once. */
void pump_redirect_go_on(pump_client *client);
/* The stream to the leader is connected, or is not. */
void pump_redirect_reached(pump_client *client, int status, const char *message);
void pump_redirect_too_long(pump_client *client);
/* There is no connection to move away from. */
void pump_redirect_stop(pump_client *client);

#endif

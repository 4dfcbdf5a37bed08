/* A client of a cluster: which member it connects to, and who the members are. */
#ifndef PUMP_CLIENT_CLUSTER_H
#define PUMP_CLIENT_CLUSTER_H

#include "client/discovery.h"

#define PUMP_REFUSALS 8

typedef struct pump_refusal {
  char host[256];
  int port;
  uint64_t until;
  char why[120];
} pump_refusal;

typedef struct pump_cluster {
  pump_discovery *discovery; /* while a member is looked for, until the right one is connected */
  pump_members *told;        /* by gossip, last */
  pump_members *known;       /* what led to a connection: to be asked too the next time */
  bool is_choosing;          /* the program was asked which one */
  uint64_t leader_until;     /* until then nobody else will do */
  bool has_warned;           /* of gossip that came by plain HTTP */
  bool is_makeshift;         /* the member that was found is none, but a leader is wanted */
  uint64_t look_at;          /* connected to that: when to ask again who leads; 0: it is asked */
  uint64_t member_deadline;  /* of the connection to a member that is being made; 0: none is */
  pump_refusal refusals[PUMP_REFUSALS]; /* who could not be connected to, for a while */
  unsigned next_refusal;
  char verdict[256];            /* words of the program that ended the search */
  char version[64];             /* as /info told it */
  char version_of[300];         /* by which endpoint */
  struct pump_census *censuses; /* questions of the program that wait */
  size_t census_count;
} pump_cluster;

/* Looks for a member and connects to it. 0 or PUMP_ENOMEM. */
int pump_cluster_find(pump_client *client);
/* The member that was found could not be connected to. True: then to another one. */
bool pump_cluster_go_on(pump_client *client, int code, const char *reason);
/* It could. If a leader is still wanted, the search goes on: look is to be called when it is
 * time. */
void pump_cluster_settle(pump_client *client);
void pump_cluster_look(pump_client *client);
/* The search is over. */
void pump_cluster_stop(pump_client *client);
/* Why nothing came of it, in one line. */
void pump_cluster_explain(const pump_client *client, char *text, size_t size);

/* Closes all there is; gone(client) is called once for each of as many parts as it returns. */
int pump_cluster_close(pump_client *client, void (*gone)(void *client));
/* Behind the last of them: whoever waits for members is told that the client is closed. */
void pump_cluster_free(pump_client *client);

#endif

/* Gossip: what the members of a cluster tell about each other, read from the JSON of /gossip, and
 * which of them a client is to connect to. All versions: 4 and 5 say Master and Slave, 20.6 and
 * later Leader and Follower, and call their HTTP address by another name. */
#ifndef PUMP_CONVERSATION_GOSSIP_H
#define PUMP_CONVERSATION_GOSSIP_H

#include <pump.h>

#define PUMP_MAX_MEMBERS 64

/* On failure *members is NULL and error holds one line. PUMP_EPROTOCOL, PUMP_ENOMEM. */
int pump_gossip_parse(pump_members **members, pump_bytes text, char *error, size_t error_size);

/* The version that /info tells. Likewise. */
int pump_info_parse(char *version, size_t version_size, pump_bytes text, char *error,
                    size_t error_size);

/* Whether a client may connect to a member: it is alive, ready to serve, and has an address of
 * that kind. A state that nobody knows is no hindrance. If not, *why is a few words. */
bool pump_gossip_is_usable(const pump_member *member, bool is_secure, const char **why);

typedef struct pump_gossip_choice {
  int selector; /* PUMP_SELECT_… */
  bool is_secure;
  bool leader_only; /* with PUMP_SELECT_LEADER: nobody rather than another */
  uint32_t random;  /* decides between equals */
  uint64_t refused; /* a bit for each member that was tried in vain */
} pump_gossip_choice;

/* The index of the member to connect to, or -1. */
int pump_gossip_choose(const pump_members *members, const pump_gossip_choice *choice);

#endif

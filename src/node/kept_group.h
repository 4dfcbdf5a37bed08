/* A group with what it needs of its node: it reads its stream from the store, parks there, and
 * writes down how far it is. Who consumes it, and over which protocol, it does not know. */
#ifndef PUMP_NODE_KEPT_GROUP_H
#define PUMP_NODE_KEPT_GROUP_H

#include "node/group.h"
#include "node/group_config.h"
#include "node/rights.h"
#include "pump_node.h"

struct pump_group_member;

/* How events reach a consumer. */
typedef struct pump_group_calls {
  bool (*has_room)(struct pump_group_member *member);
  /* False: it was not taken. */
  bool (*push)(struct pump_group_member *member, const pump_event *event, int32_t retries);
  /* The group is gone or was updated: the member is not its member any more. */
  void (*drop)(struct pump_group_member *member);
} pump_group_calls;

typedef struct pump_group_member {
  pump_group_consumer consumer; /* first */
  struct pump_kept_group *group;
  const pump_group_calls *calls;
  const pump_account *who; /* NULL: anonymous */
  const char *from;        /* its address */
  const char *name;        /* as it calls its connection */
} pump_group_member;

typedef struct pump_kept_group {
  pump_table_link by_key;       /* first */
  pump_table_link by_stream;    /* of all groups of a stream */
  struct pump_kept_group *next; /* in the order in which they were made */
  struct pump_kept_group *previous;
  struct pump_kept_group *next_due;
  bool is_due;
  bool is_there;  /* as it is kept; while that is being looked at */
  bool is_doomed; /* it is deleted in this turn: nothing is to be written for it any more */
  bool has_news;  /* its stream goes on behind what was read */
  pump_node *node;
  pump_group group;
  pump_group_entry entry; /* as it is kept */
  char *parked;           /* the stream of what it parked */
  size_t parked_size;
  int64_t tombstone;          /* where in $all its stream was deleted for good; -1: it was not */
  int64_t written_checkpoint; /* not committed yet; -1: none */
  int64_t written_unparked;
  uint64_t total; /* what was pushed so far, and when and how much it was at the last look */
  uint64_t measured;
  uint64_t measured_at;
} pump_kept_group;

/* PUMP_ESTORE, PUMP_ENOMEM. */
int pump_kept_group_new(pump_kept_group **group, pump_node *node, const pump_group_entry *entry,
                        uint64_t seed);
/* Its members are told first. */
void pump_kept_group_free(pump_kept_group *group);

/* Its stream goes on with this event. */
void pump_kept_group_notice(pump_kept_group *group, const pump_record *record, int64_t position);
/* Reads what it has room for and gives it to its members. True: there is more to do, when others
 * had their turn. */
bool pump_kept_group_run(pump_kept_group *group, uint64_t now);
/* Into the store, to be committed: how far it is, where that is due. */
void pump_kept_group_write(pump_kept_group *group, uint64_t now, bool is_tick);
void pump_kept_group_committed(pump_kept_group *group, uint64_t now, bool is_kept);
/* Whether something is to be written, now or later. */
bool pump_kept_group_is_unwritten(const pump_kept_group *group);
/* The last that it can write, due or not. */
void pump_kept_group_end(pump_kept_group *group);

#endif

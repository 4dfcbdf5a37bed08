/* The consumer groups of a node: which there are is kept in the store, and what is kept counts. To
 * make, update or delete one is a write; once that is committed the groups here follow it. */
#ifndef PUMP_NODE_GROUPS_H
#define PUMP_NODE_GROUPS_H

#include "node/kept_group.h"

typedef struct pump_groups {
  pump_table by_key;
  pump_table by_stream;
  pump_kept_group *first; /* in the order in which they were made */
  pump_kept_group *last;
  pump_kept_group *due; /* who has something to do in this turn */
  size_t consumers;     /* of all groups */
  int64_t revision;     /* of what is kept, as they follow it */
  bool is_changed;      /* something else may be kept now */
  uint64_t seed;
} pump_groups;

/* PUMP_ESTORE, PUMP_ENOMEM. */
int pump_groups_open(pump_node *node);
/* Writes down how far all are; nothing is pushed any more. */
void pump_groups_end(pump_node *node);
void pump_groups_close(pump_node *node);

/* Whether they may make, change and delete groups and have parked events come again. */
bool pump_groups_may_change(pump_node *node, const pump_account *who);

/* Writes, to be committed. by: whose doing it is. PUMP_EEXISTS, PUMP_ENOGROUP, PUMP_EINVALID (names
 * that are no text, or too long), PUMP_ETOOLARGE (too many groups), PUMP_ESTORE, PUMP_ENOMEM. */
int pump_groups_create(pump_node *node, pump_bytes stream, pump_bytes name,
                       const pump_group_rules *settings, pump_bytes by);
int pump_groups_update(pump_node *node, pump_bytes stream, pump_bytes name,
                       const pump_group_rules *settings, pump_bytes by);
int pump_groups_delete(pump_node *node, pump_bytes stream, pump_bytes name, pump_bytes by);

/* NULL: no such group. */
pump_kept_group *pump_groups_find(const pump_node *node, pump_bytes key);
/* PUMP_EMAXSUBSCRIBERS. */
int pump_groups_join(pump_kept_group *group, pump_group_member *member, size_t allowed);
void pump_groups_leave(pump_group_member *member);
void pump_groups_ack(pump_kept_group *group, const pump_guid *id);
void pump_groups_nak(pump_kept_group *group, const pump_guid *id, pump_nak action,
                     pump_bytes words);
/* What is parked comes again, up to before the number stop_at. PUMP_ESTORE, PUMP_ENOMEM. */
int pump_groups_replay(pump_kept_group *group, int64_t stop_at);
/* It has something to do at the next turn. */
void pump_groups_wake(pump_kept_group *group);

/* This event was written. */
void pump_groups_notice(pump_node *node, const pump_record *record, int64_t position);
/* What belongs into this turn's transaction; whether that was committed; and what follows from it:
 * true where there is more to do, when others had their turn. */
void pump_groups_write(pump_node *node);
void pump_groups_committed(pump_node *node, bool is_kept);
bool pump_groups_run(pump_node *node);
void pump_groups_tick(pump_node *node);
/* Whether the tick is needed though nobody is there. */
bool pump_groups_are_unwritten(const pump_node *node);

#endif

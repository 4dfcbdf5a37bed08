/* A consumer group as a state machine: which events wait, who has which of them, which come again,
 * and up to where all is done. It does no I/O and knows no clock and no connection: events are
 * added by number, time is an argument (milliseconds), and what is to happen outside is asked for.
 *
 * Every event that was added is somebody's business until it is settled: waiting, in flight, to be
 * retried, or on its way to the parked ones. So nothing gets lost between these, and what is done
 * is what stands before the first that is not settled. What a group holds is bounded by its
 * buffer and by what its consumers may have in flight; it holds no event's data. */
#ifndef PUMP_NODE_GROUP_H
#define PUMP_NODE_GROUP_H

#include "base/heap.h"
#include "node/strategy.h"
#include "node/table.h"

/* Whatever the settings say. */
#define PUMP_GROUP_MAX_BUFFER    10000
#define PUMP_GROUP_MAX_IN_FLIGHT 100000
/* Waiting, in flight with all consumers, and to come again. */
#define PUMP_GROUP_MAX_UNSETTLED 200000

/* Times are milliseconds. */
typedef struct pump_group_rules {
  bool resolve_links;
  bool extra_statistics;
  bool prefer_round_robin; /* what older clients say instead of a strategy */
  pump_strategy_kind strategy;
  int64_t start_from;      /* -1: what comes from now on */
  int32_t message_timeout; /* 0: never */
  int32_t max_retries;
  int32_t live_buffer;
  int32_t buffer;
  int32_t read_batch;
  int32_t checkpoint_after;
  int32_t checkpoint_min;
  int32_t checkpoint_max;
  int32_t max_consumers; /* 0: any number */
} pump_group_rules;

/* An event on its way. */
typedef struct pump_message {
  pump_table_link by_id; /* first: among those in flight */
  pump_heap_node deadline;
  struct pump_message *next; /* in its queue, or among what its holder has in flight */
  struct pump_message *previous;
  struct pump_message *later; /* among those that are not settled, in their order */
  struct pump_message *earlier;
  pump_guid id;   /* what it is acknowledged by */
  int64_t number; /* in the stream; of a replayed one among the parked */
  int64_t rank;   /* its place among those that come again */
  uint32_t bucket;
  int32_t retries;
  uint64_t pushed_at;
  bool is_replayed;
  enum { PUMP_MESSAGE_WAITS, PUMP_MESSAGE_RETRIES, PUMP_MESSAGE_FLIES, PUMP_MESSAGE_LEAVES } state;
  pump_group_consumer *holder; /* NULL: nobody */
} pump_message;

/* Why a message is parked. */
typedef enum pump_parking { PUMP_PARKED_BY_CLIENT, PUMP_PARKED_AFTER_RETRIES } pump_parking;

typedef enum pump_nak { PUMP_NAK_RETRY, PUMP_NAK_PARK, PUMP_NAK_SKIP } pump_nak;

/* What a group asks of the world. */
typedef struct pump_group_outside {
  /* Gives the event to the consumer: PUMP_OFFER_TAKEN, PUMP_OFFER_GONE, PUMP_OFFER_FULL. */
  pump_offer (*push)(void *ud, pump_group_consumer *to, const pump_message *message);
  /* Keeps it with the parked ones; it is settled by pump_group_settle. words: the client's. */
  int (*park)(void *ud, const pump_message *message, pump_parking why, pump_bytes words);
  void *ud;
} pump_group_outside;

typedef struct pump_group {
  pump_group_rules settings;
  pump_group_outside outside;
  pump_strategy strategy;
  bool is_23; /* replayed messages come after retried ones, and a lost connection is a retry */
  pump_message_queue waiting;
  pump_message_queue retrying;
  pump_message_queue leaving;
  pump_message_queue unsettled; /* linked by later and earlier, as the next */
  pump_message_queue replayed;
  pump_table flying; /* by id */
  pump_heap deadlines;
  uint64_t seed;
  int64_t next;       /* the first event of the stream that was not added yet */
  int64_t checkpoint; /* the last one written; -1: none */
  uint64_t checkpoint_time;
  bool has_begun;      /* an event was added */
  int64_t replay_next; /* parked ones from here on up to replay_end are to be replayed */
  int64_t replay_end;
  int64_t truncated; /* parked ones before this are known to be settled */
} pump_group;

/* From the event `next` on. The seed is one that nobody outside knows. PUMP_ENOMEM. */
int pump_group_init(pump_group *group, const pump_group_rules *settings,
                    const pump_group_outside *outside, bool is_23, int64_t next, int64_t checkpoint,
                    uint64_t seed);
/* Its consumers are their owners'. */
void pump_group_free(pump_group *group);

/* How many events may be added now, and replayed ones. */
size_t pump_group_room(const pump_group *group);
size_t pump_group_replay_room(const pump_group *group);
/* The next event of the stream, in order. PUMP_ENOMEM: it was not added. */
int pump_group_add(pump_group *group, int64_t number, const pump_guid *id, uint64_t hash);
/* The next of the parked ones, by its number there; rank: its number in its stream. */
int pump_group_add_replayed(pump_group *group, int64_t number, const pump_guid *id, int64_t rank,
                            uint64_t hash);
/* Parked ones up to that number are to come again. */
void pump_group_replay(pump_group *group, int64_t first, int64_t end);

void pump_group_join(pump_group *group, pump_group_consumer *consumer, size_t allowed);
/* What it had comes again, and its timings are freed. */
void pump_group_leave(pump_group *group, pump_group_consumer *consumer);

/* Gives consumers what they have room for. */
void pump_group_push(pump_group *group, uint64_t now);
/* What it does not know (any more) it ignores. */
void pump_group_ack(pump_group *group, const pump_guid *id, uint64_t now);
void pump_group_nak(pump_group *group, const pump_guid *id, pump_nak action, pump_bytes words,
                    uint64_t now);
/* What was not acknowledged in time comes again, or is parked. */
void pump_group_expire(pump_group *group, uint64_t now);
/* What was parked since the last time is kept for good, or was not and comes again. */
void pump_group_settle(pump_group *group, bool is_kept);

/* Up to this number every event is settled. */
int64_t pump_group_done(const pump_group *group);
/* Whether that is to be written down. */
bool pump_group_checkpoint_is_due(const pump_group *group, uint64_t now, bool is_tick);
void pump_group_set_checkpoint(pump_group *group, int64_t number, uint64_t now);
/* Before this number every parked message is settled. */
int64_t pump_group_replay_done(const pump_group *group);

#endif

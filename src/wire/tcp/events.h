/* The hot path: events on the wire, read in place and written in place.
 *
 * Decoders turn a body into a page whose records are views into the block that the frame came
 * in. They require nothing: a missing field is zero or empty, as proto3 servers leave them out.
 * They return 0, PUMP_EPROTOCOL for a malformed body, or PUMP_ENOMEM. */
#ifndef PUMP_WIRE_TCP_EVENTS_H
#define PUMP_WIRE_TCP_EVENTS_H

#include <pump.h>
#include "base/block.h"
#include "base/buffer.h"
#include "wire/tcp/frame.h"

/* A ReadEventCompleted, ReadStreamEventsCompleted, ReadAllEventsCompleted (filtered too),
 * StreamEventAppeared or PersistentSubscriptionStreamEventAppeared. */
typedef struct pump_tcp_page {
  pump_page *page;  /* the caller's reference; never NULL on success */
  int32_t result;   /* the message's own enum, 0 is Success in each */
  pump_bytes error; /* the server's words, often empty */
} pump_tcp_page;

int pump_tcp_decode_page(uint8_t command, pump_block *block, pump_bytes body, pump_tcp_page *out);

/* The bodies of some StreamEventAppeared or PersistentSubscriptionStreamEventAppeared, all in this
 * block, as one page: the caller's. */
int pump_tcp_decode_pushes(uint8_t command, pump_block *block, const pump_bytes *bodies,
                           size_t bodies_count, pump_page **page);

/* A WriteEvents as a node gets it: views into the frame. An id that is not of 16 bytes is all
 * zero. */
typedef struct pump_tcp_write {
  pump_bytes stream;
  int64_t expected_version;
  bool require_leader;
  size_t count;
  pump_new_event *events; /* one allocation; free() it */
} pump_tcp_write;

int pump_tcp_decode_write(pump_bytes body, pump_tcp_write *out);

/* A whole WriteEvents frame. Errors as pump_tcp_frame_end. */
int pump_tcp_encode_write(pump_buffer *out, const pump_tcp_correlation *correlation,
                          pump_bytes login, pump_bytes password, pump_bytes stream,
                          int64_t expected_version, bool require_leader,
                          const pump_new_event *events, size_t count);

/* What a node answers reads with: one resolved event at a time into the body that is being
 * written, as field `number` of the message. link NULL: none; record NULL: unresolved.
 * with_position: a ResolvedEvent of $all, else a ResolvedIndexedEvent. */
typedef struct pump_tcp_event {
  const pump_record *record;
  const pump_record *link;
  pump_position position;
  bool with_position;
  bool leave_out_defaults; /* as proto3 servers do */
} pump_tcp_event;
void pump_tcp_encode_event(pump_buffer *out, uint32_t number, const pump_tcp_event *event);

#endif

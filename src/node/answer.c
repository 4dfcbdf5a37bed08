#include "node/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/bytes.h"
#include "node/filter.h"
#include "node/group_answer.h"
#include "node/node_private.h"
#include "node/write.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

/* The bodies of a page's events stay under this, so that the frame stays under what clients
 * take; the page ends early and says where it goes on. */
#define MAX_PAGE_BYTES (60u * 1024 * 1024)
/* The same while too much is left unread. */
#define MAX_PRESSED_BYTES (1024u * 1024)
static const pump_bytes no_bytes;

bool pump_answer_knows(uint8_t command, bool *is_write) {
  *is_write = false;
  switch (command) {
  case PUMP_TCP_WRITE_EVENTS:
  case PUMP_TCP_DELETE_STREAM:
  case PUMP_TCP_TRANSACTION_START:
  case PUMP_TCP_TRANSACTION_WRITE:
  case PUMP_TCP_TRANSACTION_COMMIT:
  case PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS:
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS: *is_write = true; return true;
  case PUMP_TCP_READ_EVENT:
  case PUMP_TCP_READ_STREAM_FORWARD:
  case PUMP_TCP_READ_STREAM_BACKWARD:
  case PUMP_TCP_READ_ALL_FORWARD:
  case PUMP_TCP_READ_ALL_BACKWARD:
  case PUMP_TCP_SCAVENGE_DATABASE:
  case PUMP_TCP_SUBSCRIBE_TO_STREAM:
  case PUMP_TCP_FILTERED_SUBSCRIBE_TO_STREAM:
  case PUMP_TCP_FILTERED_READ_ALL_FORWARD:
  case PUMP_TCP_FILTERED_READ_ALL_BACKWARD:
  case PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION:
  case PUMP_TCP_UNSUBSCRIBE_FROM_STREAM: return true;
  default: return false;
  }
}

void pump_answer_with(pump_peer *peer, uint8_t command, const pump_tcp_correlation *correlation,
                      ProtobufCMessage *reply) {
  if (peer->node->is_23) pump_tcp_leave_out_defaults(reply);
  if (pump_tcp_pack(&peer->out, command, correlation, no_bytes, no_bytes, reply) != 0)
    pump_peer_close(peer);
}

int64_t pump_answer_number(const pump_peer *peer, int64_t number) {
  return peer->is_old && number > INT32_MAX ? INT32_MAX : number;
}

/* The record with a number that the peer can count to, *copy if that is another. */
static const pump_record *record_for(const pump_peer *peer, const pump_record *record,
                                     pump_record *copy) {
  if (!record || pump_answer_number(peer, record->number) == record->number) return record;
  *copy = *record;
  copy->number = pump_answer_number(peer, record->number);
  return copy;
}

void pump_answer_put_event(const pump_peer *peer, pump_buffer *out, uint32_t number,
                           const pump_event *event, bool with_position) {
  const pump_node *node = peer->node;
  pump_record record, link;
  pump_tcp_event encoded = {.record = record_for(peer, event->record, &record),
                            .link = record_for(peer, event->link, &link),
                            .position = event->position,
                            .with_position = with_position,
                            .leave_out_defaults = node->is_23};
  /* To newer servers what leads nowhere at all is no link. */
  if (node->is_23 && event->link && !event->record && !pump_store_is_link(event->link->data)) {
    encoded.record = encoded.link;
    encoded.link = NULL;
  }
  pump_tcp_encode_event(out, number, &encoded);
}

/* Old servers have no name for what they do not know. */
static const char *name_of(const pump_node *node, uint8_t command) {
  bool is_new = command == PUMP_TCP_FILTERED_READ_ALL_FORWARD ||
                command == PUMP_TCP_FILTERED_READ_ALL_BACKWARD ||
                command == PUMP_TCP_FILTERED_SUBSCRIBE_TO_STREAM;
  return is_new && !node->is_23 ? NULL : pump_tcp_command_name(command);
}

void pump_answer_not_understood(pump_peer *peer, uint8_t command,
                                const pump_tcp_correlation *correlation) {
  char text[128], number[8];
  const char *name = name_of(peer->node, command);
  snprintf(number, sizeof number, "%u", command);
  snprintf(text, sizeof text, "Could not unwrap network package for command %s.\n",
           name ? name : number);
  pump_peer_bad_request(peer, correlation, text);
}

/* ---- Pages -------------------------------------------------------------------------------- */

/* A body that is being written while the store hands over events. */
typedef struct page {
  pump_peer *peer;
  const pump_request *request;
  pump_buffer *out;
  size_t frame;       /* where the frame begins */
  size_t body;        /* where its body begins */
  uint32_t number;    /* of the field that holds an event */
  bool with_position; /* $all */
  bool has_events;
  bool is_denied; /* a link led to what this user may not read */
  bool leave_out_defaults;
  const pump_node_filter *filter; /* NULL: none */
  int32_t wanted;                 /* with a filter: events that may still go in */
  int32_t examined;
} page;

static void put_number(const page *at, uint32_t number, int64_t value) {
  if (value == 0 && at->leave_out_defaults) return;
  uint8_t *to = pump_buffer_reserve(at->out, 16);
  if (!to) return;
  uint8_t *behind = pump_pb_put_number(to, number, (uint64_t)value);
  pump_buffer_grew(at->out, (size_t)(behind - to));
}

static void put_positions(const page *at, uint32_t number, pump_position position) {
  put_number(at, number, position.commit);
  put_number(at, number + 1, position.prepare);
}

static void put_text(const page *at, uint32_t number, const char *text) {
  size_t size = strlen(text);
  if (size == 0 && at->leave_out_defaults) return;
  uint8_t *to = pump_buffer_reserve(at->out, pump_pb_bytes_size(number, size));
  if (!to) return;
  uint8_t *behind = pump_pb_put_bytes(to, number, text, size);
  pump_buffer_grew(at->out, (size_t)(behind - to));
}

static void begin_page(page *at, pump_peer *peer, const pump_request *request, uint8_t command) {
  *at = (page){.peer = peer, .request = request, .out = &peer->out};
  at->leave_out_defaults = peer->node->is_23;
  at->frame = pump_tcp_frame_begin(at->out, command, &request->correlation, no_bytes, no_bytes);
  at->body = at->out->size;
}

static void end_page(page *at) {
  if (pump_tcp_frame_end(at->out, at->frame) != 0) pump_peer_close(at->peer);
}

static size_t size_of(const pump_record *record) {
  return record ? record->stream.size + record->type.size + record->data.size +
                      record->metadata.size + 128
                : 0;
}

static bool may_read(const pump_peer *peer, const pump_request *request, pump_bytes stream) {
  return pump_node_allows(peer->node, request->who, stream, PUMP_STORE_READ);
}

static bool take(void *ud, const pump_event *event) {
  page *at = ud;
  if (at->filter && !pump_node_filter_wants(at->filter, event)) {
    at->examined++;
    return true;
  }
  if (at->filter && at->wanted == 0) return false;
  if (event->link && event->record && !may_read(at->peer, at->request, event->record->stream)) {
    at->is_denied = true;
    return false;
  }
  size_t size = size_of(event->record) + size_of(event->link);
  size_t most = at->peer->node->is_pressed ? MAX_PRESSED_BYTES : MAX_PAGE_BYTES;
  if (at->has_events && at->out->size - at->body + size > most) return false;
  pump_answer_put_event(at->peer, at->out, at->number, event, at->with_position);
  at->has_events = true;
  at->examined++;
  at->wanted--;
  return !at->out->failed;
}

/* A message that is there, with nothing in it. */
static void put_nothing(const page *at, uint32_t number) {
  uint8_t *to = pump_buffer_reserve(at->out, pump_pb_bytes_size(number, 0));
  if (to) pump_buffer_grew(at->out, (size_t)(pump_pb_put_head(to, number, 0) - to));
}

/* What a server says to those who may not read; NULL: nothing. */
static const char *denial(const pump_peer *peer) {
  return peer->node->is_23 ? "Access Denied" : NULL;
}

/* Why a page can't be had; NULL: it can. The words are a server's. */
static const char *check_count(const pump_peer *peer, int32_t max_count) {
  if (max_count > PUMP_MAX_PAGE) return "Read size too big, should be less than 4096 items";
  if (max_count > 0) return NULL;
  return peer->node->is_23 ? "maxCount should be positive. (Parameter 'maxCount')"
                           : "maxCount should be positive.\nParameter name: maxCount";
}

/* Who may not read is told so whatever is wrong with what they ask for, but that older servers
 * look at the size of the page first. */
static bool is_denied(const pump_peer *peer, const pump_request *request, pump_bytes stream,
                      int32_t max_count) {
  if (max_count > PUMP_MAX_PAGE && !peer->node->is_23) return false;
  return !may_read(peer, request, stream);
}

static const char *read_failure(const pump_peer *peer, char text[320]) {
  snprintf(text, 320, "the store could not read: %s", pump_store_error(peer->node->store));
  return text;
}

/* ---- Reading one event -------------------------------------------------------------------- */

static void answer_read_event(pump_peer *peer, const pump_request *request,
                              const PumpTcp__ReadEvent *asked) {
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (stream.size == 0 || asked->event_number < PUMP_END) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  page at;
  begin_page(&at, peer, request, PUMP_TCP_READ_EVENT_COMPLETED);
  at.number = 2;
  put_number(&at, 1, PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS);

  char text[320];
  const char *error = NULL;
  PumpTcp__ReadEventResult result = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ACCESS_DENIED;
  if (may_read(peer, request, stream)) {
    static const PumpTcp__ReadEventResult results[] = {
        [PUMP_STORE_SUCCESS] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS,
        [PUMP_STORE_NO_STREAM] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NO_STREAM,
        [PUMP_STORE_DELETED] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_STREAM_DELETED,
        [PUMP_STORE_NO_EVENT] = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_NOT_FOUND,
    };
    pump_store_result found;
    if (pump_store_read_event(peer->node->store, stream, asked->event_number,
                              asked->resolve_link_tos, pump_node_time(), take, &at, &found) != 0) {
      result = PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ERROR;
      error = read_failure(peer, text);
    } else if (!at.is_denied) {
      result = results[found];
    }
  }
  if (result != PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_SUCCESS) {
    pump_buffer_truncate(at.out, at.body);
    put_number(&at, 1, result);
    at.has_events = false;
  }
  if (!at.has_events) put_nothing(&at, 2);
  if (result == PUMP_TCP__READ_EVENT_RESULT__READ_EVENT_ACCESS_DENIED) error = denial(peer);
  if (error) put_text(&at, 3, error);
  end_page(&at);
}

/* ---- Reading a stream --------------------------------------------------------------------- */

typedef struct stream_end {
  PumpTcp__ReadStreamResult result;
  int64_t next;
  int64_t last;
  bool is_end;
  const char *error;
} stream_end;

static void read_stream(page *at, pump_bytes stream, const pump_read *read, char text[320],
                        stream_end *end) {
  pump_store_page found;
  if (pump_store_read_stream(at->peer->node->store, stream, read, pump_node_time(), take, at,
                             &found) != 0) {
    end->error = read_failure(at->peer, text);
    return;
  }
  end->result = PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  if (at->is_denied) return;
  end->result = found.result == PUMP_STORE_SUCCESS
                    ? PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS
                : found.result == PUMP_STORE_DELETED
                    ? PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_STREAM_DELETED
                    : PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_NO_STREAM;
  end->next = found.next;
  end->last = found.last;
  end->is_end = found.is_end;
}

static const char *check_range(const pump_peer *peer, const pump_read *read) {
  if (read->max_count > PUMP_MAX_PAGE || read->backward || read->from >= 0)
    return check_count(peer, read->max_count);
  return peer->node->is_23
             ? "fromEventNumber should be non negative. (Parameter 'fromEventNumber')"
             : "fromEventNumber should be non negative.\nParameter name: fromEventNumber";
}

static void answer_read_stream(pump_peer *peer, const pump_request *request,
                               const PumpTcp__ReadStreamEvents *asked) {
  bool is_backward = request->command == PUMP_TCP_READ_STREAM_BACKWARD;
  pump_bytes stream = pump_tcp_view(asked->event_stream_id);
  if (stream.size == 0 || asked->from_event_number < PUMP_END) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  pump_read read = {.from = asked->from_event_number,
                    .max_count = asked->max_count,
                    .backward = is_backward,
                    .resolve_links = asked->resolve_link_tos};
  page at;
  begin_page(&at, peer, request,
             is_backward ? PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED
                         : PUMP_TCP_READ_STREAM_FORWARD_COMPLETED);
  at.number = 1;

  char text[320];
  stream_end end = {PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ERROR, -1, -1, true, NULL};
  if (is_denied(peer, request, stream, read.max_count))
    end.result = PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  else if (!(end.error = check_range(peer, &read)))
    read_stream(&at, stream, &read, text, &end);
  if (end.result != PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_SUCCESS)
    pump_buffer_truncate(at.out, at.body);
  bool is_refused = end.result == PUMP_TCP__READ_STREAM_RESULT__READ_STREAM_ACCESS_DENIED;
  if (is_refused) end.error = denial(peer);
  bool says_nothing = is_refused && peer->node->is_23;
  put_number(&at, 2, end.result);
  put_number(&at, 3, end.next);
  put_number(&at, 4, says_nothing ? 0 : pump_answer_number(peer, end.last));
  put_number(&at, 5, end.is_end);
  put_number(&at, 6, says_nothing ? 0 : pump_store_last_position(peer->node->store));
  put_text(&at, 7, end.error ? end.error : "");
  end_page(&at);
}

/* ---- Reading $all ------------------------------------------------------------------------- */

/* What both kinds of questions have in common. */
typedef struct all_read {
  pump_position from;
  int32_t max_count;
  int32_t window; /* events that are looked at */
  bool backward;
  bool resolve_links;
  const pump_node_filter *filter; /* NULL: not a filtered one */
} all_read;

/* A filtered read that is refused gets the answer of a plain one. */
static uint8_t command_of(const all_read *asked, bool is_refused) {
  if (!asked->filter || is_refused)
    return asked->backward ? PUMP_TCP_READ_ALL_BACKWARD_COMPLETED
                           : PUMP_TCP_READ_ALL_FORWARD_COMPLETED;
  return asked->backward ? PUMP_TCP_FILTERED_READ_ALL_BACKWARD_COMPLETED
                         : PUMP_TCP_FILTERED_READ_ALL_FORWARD_COMPLETED;
}

static void refuse_all(pump_peer *peer, const pump_request *request, const all_read *asked) {
  page at;
  const char *error = denial(peer);
  pump_position nowhere = {-1, -1};
  begin_page(&at, peer, request, command_of(asked, true));
  put_positions(&at, 1, error ? nowhere : asked->from);
  put_positions(&at, 4, nowhere);
  put_number(&at, 6, PUMP_TCP__READ_ALL_RESULT__READ_ALL_ACCESS_DENIED);
  if (error) put_text(&at, 7, error);
  end_page(&at);
}

/* Puts the events, and where the next page begins. False where a link led to what this user may
 * not read. */
static bool put_all(page *at, const all_read *asked, pump_position *next, bool *is_end,
                    const char **error, char text[320]) {
  pump_store *store = at->peer->node->store;
  pump_read read = {.position = asked->from,
                    .max_count = asked->window,
                    .backward = asked->backward,
                    .resolve_links = asked->resolve_links};
  pump_store_page found;
  if (pump_store_read_all(store, &read, pump_node_time(), take, at, &found) != 0) {
    *error = read_failure(at->peer, text);
  } else if (!at->is_denied) {
    /* A server's prepare position says 0 behind the last event of a page that goes forward, and
     * what it was asked for where there is nothing. */
    bool is_behind = !asked->backward && at->has_events;
    *next = (pump_position){found.next, is_behind ? 0 : found.next};
    if (found.next == asked->from.commit) next->prepare = asked->from.prepare;
    *is_end = at->wanted > 0 && at->examined < asked->window;
  }
  return !at->is_denied;
}

static void answer_all(pump_peer *peer, const pump_request *request, all_read *asked) {
  if (asked->from.commit == -1 && asked->from.prepare == -1)
    asked->from.commit = asked->from.prepare = pump_store_end_position(peer->node->store);
  char text[320];
  pump_position next = {-1, -1};
  bool is_end = true;
  if (is_denied(peer, request, pump_bytes_of("$all"), asked->max_count)) {
    refuse_all(peer, request, asked);
    return;
  }
  const char *error = check_count(peer, asked->max_count);
  if (!error && (asked->from.commit < 0 || asked->from.prepare < 0)) error = "Invalid position.";
  page at;
  begin_page(&at, peer, request, command_of(asked, false));
  at.number = 3;
  at.with_position = true;
  at.filter = asked->filter;
  at.wanted = asked->max_count;
  put_positions(&at, 1, asked->from);
  if (!error && !put_all(&at, asked, &next, &is_end, &error, text)) {
    pump_buffer_truncate(at.out, at.frame);
    refuse_all(peer, request, asked);
    return;
  }
  if (error) {
    pump_buffer_truncate(at.out, at.body);
    put_positions(&at, 1, asked->from);
  }
  put_positions(&at, 4, next);
  if (at.filter) put_number(&at, 6, is_end);
  uint32_t result = at.filter ? 7 : 6;
  if (error) {
    put_number(&at, result, PUMP_TCP__READ_ALL_RESULT__READ_ALL_ERROR);
    put_text(&at, result + 1, error);
  }
  end_page(&at);
}

static void answer_read_all(pump_peer *peer, const pump_request *request,
                            const PumpTcp__ReadAllEvents *asked) {
  all_read read = {.from = {asked->commit_position, asked->prepare_position},
                   .max_count = asked->max_count,
                   .window = asked->max_count,
                   .backward = request->command == PUMP_TCP_READ_ALL_BACKWARD,
                   .resolve_links = asked->resolve_link_tos};
  answer_all(peer, request, &read);
}

static void answer_filtered_read_all(pump_peer *peer, const pump_request *request,
                                     const PumpTcp__FilteredReadAllEvents *asked) {
  pump_node_filter *filter;
  if (!peer->node->is_23 || pump_node_filter_new(&filter, asked->filter) != 0) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  all_read read = {.from = {asked->commit_position, asked->prepare_position},
                   .max_count = asked->max_count,
                   .window =
                       asked->max_search_window > 0 ? asked->max_search_window : asked->max_count,
                   .backward = request->command == PUMP_TCP_FILTERED_READ_ALL_BACKWARD,
                   .resolve_links = asked->resolve_link_tos,
                   .filter = filter};
  answer_all(peer, request, &read);
  pump_node_filter_free(filter);
}

static void answer_read(pump_peer *peer, const pump_request *request) {
  ProtobufCMessage *asked = pump_tcp_unpack(request->command, request->payload);
  if (!asked) {
    pump_answer_not_understood(peer, request->command, &request->correlation);
    return;
  }
  switch (request->command) {
  case PUMP_TCP_READ_EVENT:
    answer_read_event(peer, request, (const PumpTcp__ReadEvent *)(const void *)asked);
    break;
  case PUMP_TCP_READ_STREAM_FORWARD:
  case PUMP_TCP_READ_STREAM_BACKWARD:
    answer_read_stream(peer, request, (const PumpTcp__ReadStreamEvents *)(const void *)asked);
    break;
  case PUMP_TCP_FILTERED_READ_ALL_FORWARD:
  case PUMP_TCP_FILTERED_READ_ALL_BACKWARD:
    answer_filtered_read_all(peer, request,
                             (const PumpTcp__FilteredReadAllEvents *)(const void *)asked);
    break;
  default: answer_read_all(peer, request, (const PumpTcp__ReadAllEvents *)(const void *)asked);
  }
  pump_tcp_unpack_free(asked);
}

static void answer_unsubscribe(pump_peer *peer, const pump_request *request) {
  if (!pump_group_answer_unsubscribe(peer, request)) pump_feed_answer_unsubscribe(peer, request);
}

void pump_answer(pump_peer *peer, const pump_request *request) {
  if (request->is_write)
    pump_write_answer(peer, request);
  else if (request->command == PUMP_TCP_SCAVENGE_DATABASE)
    pump_clean_answer(peer, request);
  else if (request->command == PUMP_TCP_SUBSCRIBE_TO_STREAM)
    pump_feed_answer_subscribe(peer, request);
  else if (request->command == PUMP_TCP_FILTERED_SUBSCRIBE_TO_STREAM)
    pump_feed_answer_filtered_subscribe(peer, request);
  else if (request->command == PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION)
    pump_group_answer_connect(peer, request);
  else if (request->command == PUMP_TCP_UNSUBSCRIBE_FROM_STREAM)
    answer_unsubscribe(peer, request);
  else
    answer_read(peer, request);
}

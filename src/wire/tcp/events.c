#include "wire/tcp/events.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/guid.h"
#include "base/page.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"

/* .NET counts 100 ns ticks since the year 1; the two top bits say which kind of time it is. */
#define TICKS_AT_1970       INT64_C(621355968000000000)
#define TICKS_A_MICROSECOND 10
#define TICKS_MASK          UINT64_C(0x3fffffffffffffff)
#define JSON_CONTENT        1
#define NO_ROOM             1 /* beside 0 and codes of errors */

/* ---- Pages -------------------------------------------------------------------------------- */

/* Field numbers of the messages that carry events; 0: the message has no such field. */
typedef struct layout {
  uint32_t events, result, error;
  uint32_t next_number, last_number, is_end;
  uint32_t commit, prepare, next_commit, next_prepare;
  uint32_t retry_count;
} layout;

static const layout *layout_of(uint8_t command) {
  static const layout event = {.result = 1, .events = 2, .error = 3};
  static const layout stream = {
      .events = 1, .result = 2, .next_number = 3, .last_number = 4, .is_end = 5, .error = 7};
  static const layout all = {.commit = 1,
                             .prepare = 2,
                             .events = 3,
                             .next_commit = 4,
                             .next_prepare = 5,
                             .result = 6,
                             .error = 7};
  static const layout filtered = {.commit = 1,
                                  .prepare = 2,
                                  .events = 3,
                                  .next_commit = 4,
                                  .next_prepare = 5,
                                  .is_end = 6,
                                  .result = 7,
                                  .error = 8};
  static const layout pushed = {.events = 1};
  static const layout pushed_to_group = {.events = 1, .retry_count = 2};
  switch (command) {
  case PUMP_TCP_READ_EVENT_COMPLETED: return &event;
  case PUMP_TCP_READ_STREAM_FORWARD_COMPLETED:
  case PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED: return &stream;
  case PUMP_TCP_READ_ALL_FORWARD_COMPLETED:
  case PUMP_TCP_READ_ALL_BACKWARD_COMPLETED: return &all;
  case PUMP_TCP_FILTERED_READ_ALL_FORWARD_COMPLETED:
  case PUMP_TCP_FILTERED_READ_ALL_BACKWARD_COMPLETED: return &filtered;
  case PUMP_TCP_STREAM_EVENT_APPEARED: return &pushed;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED: return &pushed_to_group;
  default: return NULL;
  }
}

/* A resolved event: 1 is the event, 2 the link. A failed read carries one with neither, which
 * counts as none. */
static size_t count_records(pump_bytes resolved) {
  pump_pb_cursor cursor = pump_pb_start(resolved);
  pump_pb_field field;
  bool event = false, link = false;
  while (pump_pb_next(&cursor, &field)) {
    event |= field.number == 1 && field.type == PUMP_PB_BYTES;
    link |= field.number == 2 && field.type == PUMP_PB_BYTES;
  }
  return (size_t)event + (size_t)link;
}

static bool count(pump_bytes body, uint32_t number, size_t *events, size_t *records) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  *events = *records = 0;
  while (pump_pb_next(&cursor, &field))
    if (field.number == number && field.type == PUMP_PB_BYTES) {
      size_t found = count_records(field.bytes);
      *records += found;
      *events += found > 0;
    }
  return !cursor.malformed;
}

/* The hottest loop there is: one switch for number and type of a field. A field of another type
 * than it should have is skipped like an unknown one. */
static bool decode_record(pump_bytes message, pump_record *record) {
  const uint8_t *at = (const uint8_t *)message.data, *end = at + message.size;
  const uint8_t *ticks_at = NULL;
  uint64_t value = 0, ticks = 0, epoch = 0;
  pump_bytes id = {NULL, 0};
  pump_pb_field skipped;
  *record = (pump_record){0};
  while (at && at < end) {
    switch (*at) {
    case PUMP_PB_KEY(1, PUMP_PB_BYTES): at = pump_pb_bytes(at + 1, end, &record->stream); break;
    case PUMP_PB_KEY(2, PUMP_PB_VARINT):
      at = pump_pb_varint(at + 1, end, &value);
      record->number = (int64_t)value;
      break;
    case PUMP_PB_KEY(3, PUMP_PB_BYTES): at = pump_pb_bytes(at + 1, end, &id); break;
    case PUMP_PB_KEY(4, PUMP_PB_BYTES): at = pump_pb_bytes(at + 1, end, &record->type); break;
    case PUMP_PB_KEY(5, PUMP_PB_VARINT):
      at = pump_pb_varint(at + 1, end, &value);
      record->is_json = value == JSON_CONTENT;
      break;
    case PUMP_PB_KEY(7, PUMP_PB_BYTES): at = pump_pb_bytes(at + 1, end, &record->data); break;
    case PUMP_PB_KEY(8, PUMP_PB_BYTES): at = pump_pb_bytes(at + 1, end, &record->metadata); break;
    case PUMP_PB_KEY(9, PUMP_PB_VARINT):
      ticks_at = at + 1;
      at = pump_pb_skip_varint(at + 1, end);
      break;
    case PUMP_PB_KEY(10, PUMP_PB_VARINT): at = pump_pb_varint(at + 1, end, &epoch); break;
    default: at = pump_pb_field_at(at, end, &skipped); break;
    }
  }
  if (id.size == 16) pump_guid_from_net(&record->id, (const uint8_t *)id.data);
  record->created = (int64_t)(epoch * 1000);
  if (epoch != 0 || !ticks_at) return at != NULL;
  ticks_at = pump_pb_varint(ticks_at, end, &ticks);
  ticks &= TICKS_MASK;
  if (ticks != 0) record->created = ((int64_t)ticks - TICKS_AT_1970) / TICKS_A_MICROSECOND;
  return at && ticks_at;
}

static bool decode_event(pump_bytes resolved, pump_event *event, pump_record **records) {
  const uint8_t *at = (const uint8_t *)resolved.data, *end = at + resolved.size;
  pump_pb_field skipped;
  while (at && at < end) {
    const pump_record **place = NULL;
    pump_bytes message = {NULL, 0};
    uint64_t value = 0;
    switch (*at) {
    case PUMP_PB_KEY(1, PUMP_PB_BYTES): place = &event->record; break;
    case PUMP_PB_KEY(2, PUMP_PB_BYTES): place = &event->link; break;
    case PUMP_PB_KEY(3, PUMP_PB_VARINT):
      at = pump_pb_varint(at + 1, end, &value);
      event->position.commit = (int64_t)value;
      break;
    case PUMP_PB_KEY(4, PUMP_PB_VARINT):
      at = pump_pb_varint(at + 1, end, &value);
      event->position.prepare = (int64_t)value;
      break;
    default: at = pump_pb_field_at(at, end, &skipped); break;
    }
    if (!place) continue;
    at = pump_pb_bytes(at + 1, end, &message);
    if (!at || *place || !decode_record(message, *records)) /* said twice: there is room for one */
      return false;
    *place = (*records)++;
  }
  return at != NULL;
}

static void decode_summary(const layout *fields, const pump_pb_field *field, pump_tcp_page *out) {
  pump_page *page = out->page;
  uint32_t number = field->number;
  int64_t value = (int64_t)field->value;
  if (number == fields->result)
    out->result = (int32_t)value;
  else if (number == fields->error)
    out->error = field->bytes;
  else if (number == fields->next_number)
    page->next_event_number = value;
  else if (number == fields->last_number)
    page->last_event_number = value;
  else if (number == fields->is_end)
    page->is_end = value != 0;
  else if (number == fields->commit)
    page->position.commit = value;
  else if (number == fields->prepare)
    page->position.prepare = value;
  else if (number == fields->next_commit)
    page->next_position.commit = value;
  else if (number == fields->next_prepare)
    page->next_position.prepare = value;
  else if (number == fields->retry_count && page->count > 0)
    pump_page_events(page)->retry_count = (int32_t)value;
}

/* What a server that leaves out defaults means by leaving out. */
static void set_defaults(const layout *fields, pump_page *page) {
  if (fields->next_number) page->next_event_number = page->last_event_number = 0;
  if (fields->commit) page->position = page->next_position = (pump_position){0, 0};
}

/* What a page says, with room for so many events and records, and for the next event that they say
 * nothing of. NO_ROOM: it has more of them. */
static int decode_into(const layout *fields, pump_block *block, pump_bytes body, size_t events,
                       size_t records, pump_tcp_page *out) {
  *out = (pump_tcp_page){.page = pump_page_new(block, events, records)};
  if (!out->page) return PUMP_ENOMEM;
  pump_event *event = pump_page_events(out->page);
  pump_record *record = pump_page_records(out->page);
  const pump_event *last = event + events;
  const pump_record *last_record = record + records;
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  out->page->count = 0;
  set_defaults(fields, out->page);
  while (pump_pb_next(&cursor, &field)) {
    if (field.number != fields->events || field.type != PUMP_PB_BYTES) {
      decode_summary(fields, &field, out);
      continue;
    }
    const pump_record *before = record;
    int64_t unsaid = fields->commit ? 0 : -1; /* left out, or none in this message */
    pump_event decoded = {.position = {unsaid, unsaid}};
    if (event == last || last_record - record < 2) return NO_ROOM;
    if (!decode_event(field.bytes, &decoded, &record)) return PUMP_EPROTOCOL;
    if (record == before) continue;
    *event++ = decoded;
    out->page->count++;
  }
  if (cursor.malformed) return PUMP_EPROTOCOL;
  if (fields->commit && !fields->is_end)
    out->page->is_end = out->page->count == 0; /* the only way in which $all says that it ends */
  return 0;
}

/* How many events there are if all are about as large as the first: to count them costs a seventh
 * of reading them. */
static size_t guess(const layout *fields, pump_bytes body) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number != fields->events || field.type != PUMP_PB_BYTES) continue;
    size_t events = body.size / (field.bytes.size + 1);
    return events < PUMP_MAX_PAGE ? events + events / 8 + 1 : PUMP_MAX_PAGE;
  }
  return 0;
}

int pump_tcp_decode_page(uint8_t command, pump_block *block, pump_bytes body, pump_tcp_page *out) {
  const layout *fields = layout_of(command);
  size_t events, records;
  *out = (pump_tcp_page){0};
  if (!fields) return PUMP_EPROTOCOL;
  events = guess(fields, body);
  records = events + 1;
  int code = decode_into(fields, block, body, events, records, out);
  if (code == NO_ROOM) {
    pump_page_unref(out->page);
    out->page = NULL;
    if (!count(body, fields->events, &events, &records)) return PUMP_EPROTOCOL;
    code = decode_into(fields, block, body, events + 1, records + 2, out);
  }
  if (code == 0) return 0;
  pump_page_unref(out->page);
  out->page = NULL;
  return code;
}

/* One body's event, if there is one in it. */
static bool decode_push(const layout *fields, pump_bytes body, pump_event **event,
                        pump_record **record) {
  int64_t unsaid = fields->retry_count ? -1 : 0; /* what is pushed to a group has no position */
  int32_t retry_count = 0;
  pump_event *first = *event;
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number == fields->retry_count && field.type == PUMP_PB_VARINT)
      retry_count = (int32_t)field.value;
    if (field.number != fields->events || field.type != PUMP_PB_BYTES) continue;
    const pump_record *before = *record;
    pump_event decoded = {.position = {unsaid, unsaid}};
    if (!decode_event(field.bytes, &decoded, record)) return false;
    if (*record != before) *(*event)++ = decoded;
  }
  for (; first < *event; first++)
    first->retry_count = retry_count;
  return true;
}

int pump_tcp_decode_pushes(uint8_t command, pump_block *block, const pump_bytes *bodies,
                           size_t bodies_count, pump_page **out) {
  const layout *fields = layout_of(command);
  size_t all_events = 0, all_records = 0;
  *out = NULL;
  for (size_t i = 0; i < bodies_count; i++) {
    size_t events, records;
    if (!count(bodies[i], fields->events, &events, &records)) return PUMP_EPROTOCOL;
    all_events += events;
    all_records += records;
  }
  pump_page *page = pump_page_new(block, all_events, all_records);
  if (!page) return PUMP_ENOMEM;
  pump_event *event = pump_page_events(page);
  pump_record *record = pump_page_records(page);
  bool whole = true;
  for (size_t i = 0; whole && i < bodies_count; i++)
    whole = decode_push(fields, bodies[i], &event, &record);
  /* One whose key takes more bytes than it needs was counted and is not read. */
  page->count = (size_t)(event - pump_page_events(page));
  if (whole) {
    *out = page;
    return 0;
  }
  pump_page_unref(page);
  return PUMP_EPROTOCOL;
}

/* ---- WriteEvents -------------------------------------------------------------------------- */

static bool decode_new_event(pump_bytes message, pump_new_event *event) {
  pump_pb_cursor cursor = pump_pb_start(message);
  pump_pb_field field;
  *event = (pump_new_event){0};
  while (pump_pb_next(&cursor, &field)) {
    switch (field.number) {
    case 1:
      if (field.bytes.size == 16) pump_guid_from_net(&event->id, (const uint8_t *)field.bytes.data);
      break;
    case 2: event->type = field.bytes; break;
    case 3: event->is_json = field.value == JSON_CONTENT; break;
    case 5: event->data = field.bytes; break;
    case 6: event->metadata = field.bytes; break;
    default: break;
    }
  }
  return !cursor.malformed;
}

static bool count_new_events(pump_bytes body, size_t *events) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  *events = 0;
  while (pump_pb_next(&cursor, &field))
    *events += field.number == 3 && field.type == PUMP_PB_BYTES;
  return !cursor.malformed;
}

int pump_tcp_decode_write(pump_bytes body, pump_tcp_write *out) {
  *out = (pump_tcp_write){0};
  if (!count_new_events(body, &out->count)) return PUMP_EPROTOCOL;
  out->events = calloc(out->count ? out->count : 1, sizeof *out->events);
  if (!out->events) return PUMP_ENOMEM;
  pump_new_event *event = out->events;
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  bool whole = true;
  while (whole && pump_pb_next(&cursor, &field)) {
    switch (field.number) {
    case 1: out->stream = field.bytes; break;
    case 2: out->expected_version = (int64_t)field.value; break;
    case 3: whole = field.type == PUMP_PB_BYTES && decode_new_event(field.bytes, event++); break;
    case 4: out->require_leader = field.value != 0; break;
    default: break;
    }
  }
  if (whole) return 0;
  free(out->events);
  out->events = NULL;
  return PUMP_EPROTOCOL;
}

static size_t new_event_size(const pump_new_event *event) {
  return pump_pb_bytes_size(1, 16) + pump_pb_bytes_size(2, event->type.size) +
         pump_pb_number_size(3, event->is_json) + pump_pb_number_size(4, 0) +
         pump_pb_bytes_size(5, event->data.size) + pump_pb_bytes_size(6, event->metadata.size);
}

static uint8_t *put_new_event(uint8_t *to, const pump_new_event *event) {
  uint8_t id[16];
  pump_guid_to_net(&event->id, id);
  to = pump_pb_put_bytes(to, 1, id, sizeof id);
  to = pump_pb_put_bytes(to, 2, event->type.data, event->type.size);
  to = pump_pb_put_number(to, 3, event->is_json);
  to = pump_pb_put_number(to, 4, 0); /* of the metadata: no server keeps it */
  to = pump_pb_put_bytes(to, 5, event->data.data, event->data.size);
  return pump_pb_put_bytes(to, 6, event->metadata.data, event->metadata.size);
}

int pump_tcp_encode_write(pump_buffer *out, const pump_tcp_correlation *correlation,
                          pump_bytes login, pump_bytes password, pump_bytes stream,
                          int64_t expected_version, bool require_leader,
                          const pump_new_event *events, size_t count) {
  size_t size = pump_pb_bytes_size(1, stream.size) +
                pump_pb_number_size(2, (uint64_t)expected_version) +
                pump_pb_number_size(4, require_leader);
  for (size_t i = 0; i < count; i++) {
    size += pump_pb_bytes_size(3, new_event_size(&events[i]));
    if (size > PUMP_MAX_FRAME) return PUMP_ETOOLARGE;
  }
  size_t mark = pump_tcp_frame_begin(out, PUMP_TCP_WRITE_EVENTS, correlation, login, password);
  uint8_t *to = pump_buffer_reserve(out, size);
  if (to) {
    to = pump_pb_put_bytes(to, 1, stream.data, stream.size);
    to = pump_pb_put_number(to, 2, (uint64_t)expected_version);
    for (size_t i = 0; i < count; i++) {
      to = pump_pb_put_head(to, 3, new_event_size(&events[i]));
      to = put_new_event(to, &events[i]);
    }
    pump_pb_put_number(to, 4, require_leader);
    pump_buffer_grew(out, size);
  }
  return pump_tcp_frame_end(out, mark);
}

/* ---- What a node answers reads with ------------------------------------------------------- */

/* A record is sized and written by the same list of fields: to == NULL only counts. */
typedef struct field_sink {
  uint8_t *to;
  size_t size;
  bool leave_out_defaults;
} field_sink;

static void sink_number(field_sink *sink, uint32_t number, uint64_t value) {
  if (value == 0 && sink->leave_out_defaults) return;
  sink->size += pump_pb_number_size(number, value);
  if (sink->to) sink->to = pump_pb_put_number(sink->to, number, value);
}

static void sink_bytes(field_sink *sink, uint32_t number, const void *data, size_t size) {
  if (size == 0 && sink->leave_out_defaults) return;
  sink->size += pump_pb_bytes_size(number, size);
  if (sink->to) sink->to = pump_pb_put_bytes(sink->to, number, data, size);
}

static size_t put_record(field_sink *sink, const pump_record *record) {
  uint8_t id[16];
  pump_guid_to_net(&record->id, id);
  sink_bytes(sink, 1, record->stream.data, record->stream.size);
  sink_number(sink, 2, (uint64_t)record->number);
  sink_bytes(sink, 3, id, sizeof id);
  sink_bytes(sink, 4, record->type.data, record->type.size);
  sink_number(sink, 5, record->is_json);
  sink_number(sink, 6, record->is_json); /* servers say of both what they know of the data */
  sink_bytes(sink, 7, record->data.data, record->data.size);
  sink_bytes(sink, 8, record->metadata.data, record->metadata.size);
  uint64_t ticks = (uint64_t)record->created * TICKS_A_MICROSECOND + (uint64_t)TICKS_AT_1970;
  sink_number(sink, 9, ticks);
  sink_number(sink, 10, (uint64_t)(record->created / 1000));
  return sink->size;
}

static size_t record_size(const pump_record *record, bool leave_out_defaults) {
  field_sink counter = {NULL, 0, leave_out_defaults};
  return put_record(&counter, record);
}

void pump_tcp_encode_event(pump_buffer *out, uint32_t number, const pump_tcp_event *event) {
  const pump_record *records[] = {event->record, event->link};
  size_t sizes[2] = {0, 0};
  field_sink positions = {NULL, 0, event->leave_out_defaults};
  size_t size = 0;
  for (int i = 0; i < 2; i++)
    if (records[i]) {
      sizes[i] = record_size(records[i], event->leave_out_defaults);
      size += pump_pb_bytes_size((uint32_t)i + 1, sizes[i]);
    }
  if (event->with_position) {
    sink_number(&positions, 3, (uint64_t)event->position.commit);
    sink_number(&positions, 4, (uint64_t)event->position.prepare);
    size += positions.size;
  }
  uint8_t *to = pump_buffer_reserve(out, pump_pb_bytes_size(number, size));
  if (!to) return;
  field_sink writer = {pump_pb_put_head(to, number, size), 0, event->leave_out_defaults};
  for (int i = 0; i < 2; i++)
    if (records[i]) {
      writer.to = pump_pb_put_head(writer.to, (uint32_t)i + 1, sizes[i]);
      put_record(&writer, records[i]);
    }
  if (event->with_position) {
    sink_number(&writer, 3, (uint64_t)event->position.commit);
    sink_number(&writer, 4, (uint64_t)event->position.prepare);
  }
  pump_buffer_grew(out, pump_pb_bytes_size(number, size));
}

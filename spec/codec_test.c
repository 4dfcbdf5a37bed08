/* Messages: every recorded body is read and written again to the same bytes, and the hot path
 * reads and writes what protobuf-c does.
 *
 * "The same bytes" holds for every sender there is, of proto2 and of proto3: all write fields in
 * the order of their numbers, and what proto3 leaves out we leave out again, since a field that
 * was not there is not written. The hot path's writer always writes all fields, so it is compared
 * where the sender does so too. */
#include "tap.h"

#include "recorded.h"

#include "base/bytes.h"
#include "base/guid.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

typedef struct tally {
  int frames, held;
} tally;

static const pump_tcp_correlation nobody;
static const pump_bytes none;

static void count(tally *seen, bool held, const recorded_frame *frame, const char *what) {
  seen->frames++;
  seen->held += held;
  if (!held)
    printf("# %s:%d: %s, %zu bytes: %s\n", frame->file, frame->line,
           pump_tcp_command_name(frame->command), frame->body.size, what);
}

/* The recordings hold one body that was sent to see what the server makes of garbage. */
static bool is_garbage(const recorded_frame *frame) {
  return pump_bytes_is(frame->body, "\xff\xff\xff");
}

/* ---- There and back ----------------------------------------------------------------------- */

static bool same_body(const pump_buffer *written, pump_bytes body) {
  return written->size == PUMP_TCP_HEAD_SIZE + body.size &&
         (body.size == 0 || memcmp(written->data + PUMP_TCP_HEAD_SIZE, body.data, body.size) == 0);
}

static void there_and_back(const recorded_frame *frame, void *ud) {
  if (!pump_tcp_message_of(frame->command) || is_garbage(frame)) return;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->body);
  pump_buffer out = {0};
  bool held = message && pump_tcp_pack(&out, frame->command, &nobody, none, none, message) == 0 &&
              same_body(&out, frame->body);
  count(ud, held, frame, message ? "written otherwise" : "not read");
  pump_buffer_free(&out);
  pump_tcp_unpack_free(message);
}

/* ---- Pages and pushes --------------------------------------------------------------------- */

/* A page of any of the messages, as protobuf-c reads it. */
typedef struct expected_page {
  size_t count;
  struct {
    const PumpTcp__EventRecord *event, *link;
    int64_t commit, prepare;
  } events[PUMP_MAX_PAGE];
  int32_t result, retry_count;
  ProtobufCBinaryData error;
  int64_t next_number, last_number;
  pump_position position, next_position;
  bool is_end;
} expected_page;

static void expect_event(expected_page *page, const PumpTcp__EventRecord *event,
                         const PumpTcp__EventRecord *link) {
  if (!event && !link) return;
  page->events[page->count].event = event;
  page->events[page->count].link = link;
  page->events[page->count].commit = page->events[page->count].prepare = -1;
  page->count++;
}

static void expect_indexed(expected_page *page, const PumpTcp__ResolvedIndexedEvent *event) {
  if (event) expect_event(page, event->event, event->link);
}

static void expect_resolved(expected_page *page, const PumpTcp__ResolvedEvent *event) {
  if (!event) return;
  size_t before = page->count;
  expect_event(page, event->event, event->link);
  if (page->count == before) return;
  if (event->has_commit_position) page->events[before].commit = event->commit_position;
  if (event->has_prepare_position) page->events[before].prepare = event->prepare_position;
}

static void expect_stream(expected_page *page, const PumpTcp__ReadStreamEventsCompleted *read) {
  for (size_t i = 0; i < read->n_events; i++)
    expect_indexed(page, read->events[i]);
  page->result = (int32_t)read->result;
  page->error = read->error;
  page->next_number = read->next_event_number;
  page->last_number = read->last_event_number;
  page->is_end = read->is_end_of_stream;
}

static void expect_all(expected_page *page, const PumpTcp__ReadAllEventsCompleted *read) {
  for (size_t i = 0; i < read->n_events; i++)
    expect_resolved(page, read->events[i]);
  page->result = (int32_t)read->result;
  page->error = read->error;
  page->position = (pump_position){read->commit_position, read->prepare_position};
  page->next_position = (pump_position){read->next_commit_position, read->next_prepare_position};
  page->is_end = page->count == 0;
}

/* False for a command that carries no events. */
static bool expect(expected_page *page, uint8_t command, const ProtobufCMessage *message) {
  const void *body = message;
  *page = (expected_page){
      .position = {-1, -1}, .next_position = {-1, -1}, .next_number = -1, .last_number = -1};
  switch (command) {
  case PUMP_TCP_READ_EVENT_COMPLETED: {
    const PumpTcp__ReadEventCompleted *read = body;
    expect_indexed(page, read->event);
    page->result = (int32_t)read->result;
    page->error = read->error;
    return true;
  }
  case PUMP_TCP_READ_STREAM_FORWARD_COMPLETED:
  case PUMP_TCP_READ_STREAM_BACKWARD_COMPLETED: expect_stream(page, body); return true;
  case PUMP_TCP_READ_ALL_FORWARD_COMPLETED:
  case PUMP_TCP_READ_ALL_BACKWARD_COMPLETED: expect_all(page, body); return true;
  case PUMP_TCP_STREAM_EVENT_APPEARED:
    expect_resolved(page, ((const PumpTcp__StreamEventAppeared *)body)->event);
    return true;
  case PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED: {
    const PumpTcp__PersistentSubscriptionStreamEventAppeared *pushed = body;
    expect_indexed(page, pushed->event);
    page->retry_count = pushed->retry_count;
    return true;
  }
  default: return false;
  }
}

static bool same_bytes(pump_bytes bytes, ProtobufCBinaryData data) {
  return pump_bytes_equal(bytes, pump_tcp_view(data));
}

static int64_t created_of(const PumpTcp__EventRecord *record) {
  if (record->created_epoch != 0) return record->created_epoch * 1000;
  if (record->created == 0) return 0;
  return ((record->created & INT64_C(0x3fffffffffffffff)) - INT64_C(621355968000000000)) / 10;
}

static bool same_record(const pump_record *record, const PumpTcp__EventRecord *expected) {
  if (!record || !expected) return !record && !expected;
  uint8_t id[16];
  pump_guid_to_net(&record->id, id);
  return same_bytes(record->stream, expected->event_stream_id) &&
         same_bytes(record->type, expected->event_type) &&
         same_bytes(record->data, expected->data) &&
         same_bytes(record->metadata, expected->metadata) &&
         same_bytes((pump_bytes){(const char *)id, 16}, expected->event_id) &&
         record->number == expected->event_number &&
         record->is_json == (expected->data_content_type == 1) &&
         record->created == created_of(expected);
}

static bool same_position(pump_position a, pump_position b) {
  return a.commit == b.commit && a.prepare == b.prepare;
}

static bool same_page(const pump_tcp_page *decoded, const expected_page *expected) {
  const pump_page *page = decoded->page;
  if (page->count != expected->count) return false;
  for (size_t i = 0; i < page->count; i++) {
    const pump_event *event = &page->events[i];
    pump_position position = {expected->events[i].commit, expected->events[i].prepare};
    if (!same_record(event->record, expected->events[i].event) ||
        !same_record(event->link, expected->events[i].link) ||
        !same_position(event->position, position) || event->retry_count != expected->retry_count)
      return false;
  }
  return decoded->result == expected->result && same_bytes(decoded->error, expected->error) &&
         page->next_event_number == expected->next_number &&
         page->last_event_number == expected->last_number && page->is_end == expected->is_end &&
         same_position(page->position, expected->position) &&
         same_position(page->next_position, expected->next_position);
}

static pump_block *block_of(pump_bytes body) {
  pump_block *block = pump_block_new(body.size);
  if (!block) abort();
  if (body.size > 0) memcpy(block->data, body.data, body.size);
  return block;
}

static void the_hot_path_reads(const recorded_frame *frame, void *ud) {
  static expected_page expected;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->body);
  if (message && expect(&expected, frame->command, message)) {
    pump_block *block = block_of(frame->body);
    pump_tcp_page page = {0};
    pump_bytes body = {(const char *)block->data, frame->body.size};
    int code = pump_tcp_decode_page(frame->command, block, body, &page);
    pump_block_unref(block); /* the page holds it now */
    bool held = code == 0 && same_page(&page, &expected);
    count(ud, held, frame, code ? pump_error_name(code) : "another page");
    if (code == 0) pump_page_unref(page.page);
  }
  pump_tcp_unpack_free(message);
}

/* ---- Writes ------------------------------------------------------------------------------- */

static bool same_new_event(const pump_new_event *event, const PumpTcp__NewEvent *expected) {
  uint8_t id[16];
  pump_guid_to_net(&event->id, id);
  return same_bytes((pump_bytes){(const char *)id, 16}, expected->event_id) &&
         same_bytes(event->type, expected->event_type) && same_bytes(event->data, expected->data) &&
         same_bytes(event->metadata, expected->metadata) &&
         event->is_json == (expected->data_content_type == 1);
}

static bool same_write(const pump_tcp_write *write, const PumpTcp__WriteEvents *expected) {
  bool same = same_bytes(write->stream, expected->event_stream_id) &&
              write->expected_version == expected->expected_version &&
              write->require_leader == expected->require_leader &&
              write->count == expected->n_events;
  for (size_t i = 0; same && i < write->count; i++)
    same = same_new_event(&write->events[i], expected->events[i]);
  return same;
}

/* Does this sender write an event as we do: all six fields, and of metadata that it is binary? */
static bool writes_as_we_do(const PumpTcp__WriteEvents *write) {
  bool same = write->has_expected_version && write->has_require_leader;
  for (size_t i = 0; same && i < write->n_events; i++) {
    const PumpTcp__NewEvent *event = write->events[i];
    same = event->event_id.len == 16 && event->has_metadata && event->metadata_content_type == 0 &&
           event->data_content_type <= 1;
  }
  return same;
}

typedef struct write_tally {
  tally read, written;
} write_tally;

static void the_hot_path_writes(const recorded_frame *frame, void *ud) {
  if (frame->command != PUMP_TCP_WRITE_EVENTS || is_garbage(frame)) return;
  write_tally *seen = ud;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->body);
  const PumpTcp__WriteEvents *expected = (const void *)message;
  pump_tcp_write write;
  int code = pump_tcp_decode_write(frame->body, &write);
  count(&seen->read, code == 0 && message && same_write(&write, expected), frame, "read otherwise");
  if (code == 0 && message && writes_as_we_do(expected)) {
    pump_buffer out = {0};
    code = pump_tcp_encode_write(&out, &nobody, none, none, write.stream, write.expected_version,
                                 write.require_leader, write.events, write.count);
    count(&seen->written, code == 0 && same_body(&out, frame->body), frame, "written otherwise");
    pump_buffer_free(&out);
  }
  free(write.events);
  pump_tcp_unpack_free(message);
}

/* ---- What no server sent ------------------------------------------------------------------ */

/* What a node answers a read with, read by the client's decoder. */
static void what_a_node_encodes_is_read(bool leave_out_defaults) {
  pump_record record = {.stream = {"s", 1},
                        .type = {"t\0u", 3},
                        .data = {"{}", 2},
                        .number = 1 + (INT64_C(1) << 40),
                        .created = INT64_C(1700000000123000),
                        .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
                        .is_json = true};
  pump_record link = record;
  link.type = pump_bytes_of("$>");
  link.number = 0;
  pump_tcp_event event = {.record = &record,
                          .link = &link,
                          .position = {77, 66},
                          .with_position = true,
                          .leave_out_defaults = leave_out_defaults};
  pump_buffer out = {0};
  pump_tcp_encode_event(&out, 1, &event);
  pump_bytes body = {(const char *)out.data, out.size};
  pump_block *block = block_of(body);
  body.data = (const char *)block->data;
  pump_tcp_page page = {0};
  int code = pump_tcp_decode_page(PUMP_TCP_STREAM_EVENT_APPEARED, block, body, &page);
  const pump_event *read = code == 0 && page.page->count == 1 ? page.page->events : NULL;
  tap_ok(read && read->record && read->link && pump_bytes_equal(read->record->type, record.type) &&
             memcmp(&read->record->id, &record.id, sizeof record.id) == 0 &&
             read->record->number == record.number && read->record->created == record.created &&
             read->record->is_json && read->link->number == 0 &&
             pump_bytes_is(read->link->type, "$>") && read->position.commit == 77 &&
             read->position.prepare == 66,
         "an event as a node of proto%d sends it", leave_out_defaults ? 3 : 2);
  if (code == 0) pump_page_unref(page.page);
  pump_block_unref(block);
  pump_buffer_free(&out);
}

/* A large event, then many small ones, every third by way of a link, and at the end one of which there
 * is nothing: more than the first lets expect. */
static void events_of_all_sizes_are_read(void) {
  enum { EVENTS = 300 };
  static const char large[5000];
  pump_record record = {.stream = {"s", 1}, .type = {"t", 1}}, link = record;
  pump_buffer out = {0};
  for (int64_t i = 0; i < EVENTS; i++) {
    pump_tcp_event event = {.record = &record, .link = i % 3 == 0 ? &link : NULL};
    record.data = (pump_bytes){large, i == 0 ? sizeof large : (size_t)i};
    record.number = link.number = i;
    pump_tcp_encode_event(&out, 1, &event);
  }
  pump_buffer_append(&out, "\x0a\x00", 2); /* events = an empty message */
  pump_bytes body = {(const char *)out.data, out.size};
  pump_block *block = block_of(body);
  body.data = (const char *)block->data;
  bool held = true;
  for (int round = 0; held && round < 3; round++) {
    pump_tcp_page page = {0};
    held = pump_tcp_decode_page(PUMP_TCP_READ_STREAM_FORWARD_COMPLETED, block, body, &page) == 0 &&
           page.page->count == EVENTS;
    for (size_t i = 1; held && i < EVENTS; i++) {
      const pump_event *event = &page.page->events[i];
      held = event->record && event->record->number == (int64_t)i &&
             event->record->data.size == i && (event->link != NULL) == (i % 3 == 0);
    }
    pump_page_unref(page.page);
  }
  tap_ok(held, "events of all sizes, again and again in one block");
  pump_block_unref(block);
  pump_buffer_free(&out);
}

/* Each body cut at each of its first bytes: an error or a page, no read beyond its end. */
static void cut_short(const recorded_frame *frame, void *ud) {
  static expected_page expected;
  ProtobufCMessage *whole = pump_tcp_unpack(frame->command, frame->body);
  bool is_page = whole && expect(&expected, frame->command, whole);
  pump_tcp_unpack_free(whole);
  if (!is_page && frame->command != PUMP_TCP_WRITE_EVENTS) return;
  bool held = true;
  for (size_t size = 0; size < frame->body.size && size < 400; size++) {
    pump_bytes part = {frame->body.data, size};
    ProtobufCMessage *message = pump_tcp_unpack(frame->command, part);
    pump_tcp_page page = {0};
    pump_tcp_write write = {0};
    pump_block *block = is_page ? block_of(part) : NULL;
    if (block) part.data = (const char *)block->data;
    int code = is_page ? pump_tcp_decode_page(frame->command, block, part, &page)
                       : pump_tcp_decode_write(part, &write);
    held = held && (code == 0 || code == PUMP_EPROTOCOL) && (code == 0) == (message != NULL);
    if (is_page && code == 0) pump_page_unref(page.page);
    free(write.events);
    pump_block_unref(block);
    pump_tcp_unpack_free(message);
  }
  count(ud, held, frame, "cut short, it is taken where protobuf-c refuses, or the other way");
}

static void garbage_is_refused(void) {
  static const pump_bytes bodies[] = {{"\xff", 1}, {"\x0a\x05", 2}, {"\x00\x00", 2}, {"\x0b", 1}};
  bool refused = true;
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    pump_tcp_page page;
    pump_tcp_write write;
    refused = refused &&
              pump_tcp_decode_page(PUMP_TCP_READ_ALL_FORWARD_COMPLETED, NULL, bodies[i], &page) ==
                  PUMP_EPROTOCOL &&
              pump_tcp_decode_write(bodies[i], &write) == PUMP_EPROTOCOL &&
              !pump_tcp_unpack(PUMP_TCP_WRITE_EVENTS, bodies[i]);
  }
  tap_ok(refused, "what is no message is refused by all decoders");
  pump_tcp_page page;
  tap_ok(pump_tcp_decode_page(PUMP_TCP_PONG, NULL, none, &page) == PUMP_EPROTOCOL,
         "a command without events is no page");
  tap_ok(!pump_tcp_message_of(PUMP_TCP_PING) && !pump_tcp_message_of(0xee) &&
             !pump_tcp_unpack(0xee, none),
         "raw and unknown commands have no message");
}

/* An event, and one whose key takes two bytes instead of one: what all decoders count is what they
 * have read. */
static void long_keys_hide_events(void) {
  static const pump_bytes bodies[] = {{"\x0a\x02\x0a\x00", 4}, {"\x0a\x03\x8a\x00\x00", 5}};
  pump_page *pushed;
  pump_tcp_page read;
  int code = pump_tcp_decode_pushes(PUMP_TCP_STREAM_EVENT_APPEARED, NULL, bodies, 2, &pushed);
  tap_ok(code == 0 && pushed->count == 1 && pushed->events[0].record,
         "an event behind a long key is not there when pushed");
  if (code == 0) pump_page_unref(pushed);
  code = pump_tcp_decode_page(PUMP_TCP_STREAM_EVENT_APPEARED, NULL, bodies[1], &read);
  tap_ok(code == 0 && read.page->count == 0, "nor is it on a page");
  if (code == 0) pump_page_unref(read.page);
}

/* There is room for one event and one link. */
static void events_that_are_two_are_refused(void) {
  static const pump_bytes twice = {"\x0a\x04\x0a\x00\x0a\x00", 6};
  pump_page *pushed;
  pump_tcp_page read;
  tap_ok(pump_tcp_decode_pushes(PUMP_TCP_STREAM_EVENT_APPEARED, NULL, &twice, 1, &pushed) ==
                 PUMP_EPROTOCOL &&
             pump_tcp_decode_page(PUMP_TCP_STREAM_EVENT_APPEARED, NULL, twice, &read) ==
                 PUMP_EPROTOCOL,
         "an event that is there twice is refused");
}

/* A large event and small ones, more than there seemed to be, and behind them no message. */
static void more_than_expected_and_cut(void) {
  static const char large[] = "\x0a\xce\x01\x0a\xcb\x01\x3a\xc8\x01";
  static const char small[] = "\x0a\x04\x0a\x02\x3a";
  char body[1024] = {0};
  size_t size = 0;
  memcpy(body, large, sizeof large - 1);
  size += sizeof large - 1 + 200;
  for (int i = 0; i < 50; i++, size += sizeof small)
    memcpy(body + size, small, sizeof small);
  pump_tcp_page page;
  pump_block *block = pump_block_new(64);
  tap_ok(pump_tcp_decode_page(PUMP_TCP_READ_STREAM_FORWARD_COMPLETED, block,
                              (pump_bytes){body, size}, &page) == 0 &&
             page.page->count == 51,
         "a large event and 50 small ones are a page");
  pump_page_unref(page.page);
  body[size++] = (char)0xff;
  tap_ok(pump_tcp_decode_page(PUMP_TCP_READ_STREAM_FORWARD_COMPLETED, block,
                              (pump_bytes){body, size}, &page) == PUMP_EPROTOCOL &&
             !page.page,
         "cut behind them they are none, and leave none");
  pump_block_unref(block);
}

int main(void) {
  static const char *const files[] = {
#define XX(file) file,
      RECORDED_FILES(XX)
#undef XX
  };
  tally pages = {0}, cut = {0};
  write_tally writes = {{0}, {0}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    tally seen = {0};
    bool found = recorded_each(files[i], there_and_back, &seen) &&
                 recorded_each(files[i], the_hot_path_reads, &pages) &&
                 recorded_each(files[i], the_hot_path_writes, &writes) &&
                 recorded_each(files[i], cut_short, &cut);
    tap_ok(found && seen.frames > 0 && seen.held == seen.frames,
           "%s: %d of %d bodies come out as they went in", files[i], seen.held, seen.frames);
  }
  tap_ok(pages.frames > 0 && pages.held == pages.frames,
         "%d of %d pages are as protobuf-c has them", pages.held, pages.frames);
  tap_ok(writes.read.frames > 0 && writes.read.held == writes.read.frames,
         "%d of %d writes are as protobuf-c has them", writes.read.held, writes.read.frames);
  tap_ok(writes.written.frames > 0 && writes.written.held == writes.written.frames,
         "%d of %d writes by senders like us are written to the same bytes", writes.written.held,
         writes.written.frames);
  tap_ok(cut.frames > 0 && cut.held == cut.frames,
         "%d of %d pages and writes, cut short, are judged as by protobuf-c", cut.held, cut.frames);
  what_a_node_encodes_is_read(false);
  what_a_node_encodes_is_read(true);
  events_of_all_sizes_are_read();
  garbage_is_refused();
  long_keys_hide_events();
  events_that_are_two_are_refused();
  more_than_expected_and_cut();
  return tap_done();
}

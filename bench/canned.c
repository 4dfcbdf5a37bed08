#include "canned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"

#define NUMBER_SIZE   4
#define POSITION_SIZE 6

const char canned_body[256 + 1] =
    "{\"pony\":\"Derpy Hooves\",\"height\":10,\"distance\":123.25,\"airborne\":true,"
    "\"place\":\"Ponyville, behind the post office\",\"note\":\"Delivered the morning's letters, "
    "most of them to the right doors; the muffins came through the flight without a scratch, "
    "as they must\"}";
const pump_bytes canned_type = {"PonyJumped", 10};

int64_t canned_length(pump_bytes stream) {
  char text[32] = "";
  if (stream.size < 7 || memcmp(stream.data, "bench-", 6) != 0) return 0;
  size_t size = stream.size - 6 < sizeof text ? stream.size - 6 : sizeof text - 1;
  memcpy(text, stream.data + 6, size);
  return strtoll(text, NULL, 10);
}

static void check(bool fine) {
  if (fine) return;
  fprintf(stderr, "bench: no memory\n");
  exit(1);
}

/* ---- Pages -------------------------------------------------------------------------------- */

static void patch(uint8_t *at, uint64_t value, int size) {
  for (int i = 0; i < size; i++, value >>= 7)
    at[i] = (uint8_t)((value & 0x7f) | (i + 1 < size ? 0x80 : 0));
}

void canned_patch_number(uint8_t *at, int64_t number) {
  patch(at, (uint64_t)number, NUMBER_SIZE);
}

void canned_patch_position(uint8_t *at, int64_t position) {
  patch(at, (uint64_t)position, POSITION_SIZE);
}

static void put_number(pump_buffer *out, uint32_t number, int64_t value) {
  uint8_t *to = pump_buffer_reserve(out, 20);
  check(to != NULL);
  pump_buffer_grew(out, (size_t)(pump_pb_put_number(to, number, (uint64_t)value) - to));
}

/* The events' numbers and positions stand where the canned numbers were written. */
static void find_places(canned_page *page, uint32_t events) {
  const uint8_t *start = page->frame.data;
  pump_bytes body = {(const char *)start + PUMP_TCP_HEAD_SIZE,
                     page->frame.size - PUMP_TCP_HEAD_SIZE};
  pump_pb_cursor outer = pump_pb_start(body);
  pump_pb_field field;
  size_t i = 0;
  while (pump_pb_next(&outer, &field)) {
    if (field.number != events || field.type != 2) continue;
    pump_pb_cursor resolved = pump_pb_start(field.bytes);
    while (pump_pb_next(&resolved, &field)) {
      if (field.number == 3) page->positions[i] = (size_t)(resolved.at - start) - POSITION_SIZE;
      if (field.number != 1) continue;
      pump_pb_cursor record = pump_pb_start(field.bytes);
      while (pump_pb_next(&record, &field))
        if (field.number == 2) page->numbers[i] = (size_t)(record.at - start) - NUMBER_SIZE;
    }
    i++;
  }
}

static void put_event(canned_page *page, pump_bytes stream, size_t i) {
  pump_record record = {
      .stream = stream,
      .type = canned_type,
      .data = {canned_body, sizeof canned_body - 1},
      .number = FIRST_NUMBER,
      .created = INT64_C(1780000000000000) + (int64_t)i,
      .is_json = true,
  };
  for (size_t k = 0; k < 16; k++)
    record.id.bytes[k] = (uint8_t)(i * 31 + k * 7 + 1);
  pump_tcp_event event = {
      .record = &record,
      .position = {FIRST_POSITION, FIRST_POSITION},
      .with_position = page->is_all,
  };
  pump_tcp_encode_event(&page->frame, page->is_all ? 3 : 1, &event);
}

void canned_page_init(canned_page *page, pump_bytes stream, size_t count, bool is_all) {
  static const pump_tcp_correlation nobody;
  pump_bytes none = {0};
  *page = (canned_page){.count = count, .is_all = is_all};
  page->numbers = calloc(count + 1, sizeof *page->numbers);
  page->positions = calloc(count + 1, sizeof *page->positions);
  check(page->numbers && page->positions);
  uint8_t command =
      is_all ? PUMP_TCP_READ_ALL_FORWARD_COMPLETED : PUMP_TCP_READ_STREAM_FORWARD_COMPLETED;
  size_t mark = pump_tcp_frame_begin(&page->frame, command, &nobody, none, none);
  if (is_all) {
    put_number(&page->frame, 1, FIRST_POSITION);
    page->last = page->frame.size - POSITION_SIZE;
    put_number(&page->frame, 2, FIRST_POSITION);
  }
  for (size_t i = 0; i < count; i++)
    put_event(page, stream, i);
  if (is_all) {
    put_number(&page->frame, 4, FIRST_POSITION);
    page->next = page->frame.size - POSITION_SIZE;
    put_number(&page->frame, 5, FIRST_POSITION);
    put_number(&page->frame, 6, 0);
  } else {
    put_number(&page->frame, 2, 0);
    put_number(&page->frame, 3, FIRST_NUMBER);
    page->next = page->frame.size - NUMBER_SIZE;
    put_number(&page->frame, 4, FIRST_NUMBER);
    page->last = page->frame.size - NUMBER_SIZE;
    put_number(&page->frame, 5, 0);
    page->is_end = page->frame.size - 1;
    put_number(&page->frame, 6, FIRST_POSITION);
  }
  check(pump_tcp_frame_end(&page->frame, mark) == 0);
  find_places(page, is_all ? 3 : 1);
}

static void patch_both(uint8_t *at, int64_t position) {
  canned_patch_position(at, position);
  canned_patch_position(at + POSITION_SIZE + 1, position); /* prepare, behind its key */
}

void canned_page_turn(canned_page *page, const pump_tcp_correlation *correlation, int64_t from,
                      int64_t length) {
  uint8_t *start = page->frame.data;
  memcpy(start + PUMP_TCP_HEAD_SIZE - sizeof *correlation, correlation, sizeof *correlation);
  int64_t count = (int64_t)page->count;
  int64_t index = 0;
  if (page->is_all && from > FIRST_POSITION) index = (from - FIRST_POSITION) / POSITION_STEP;
  if (!page->is_all && from > FIRST_NUMBER) index = from - FIRST_NUMBER;
  for (int64_t i = 0; i < count; i++) {
    canned_patch_number(start + page->numbers[i], FIRST_NUMBER + index + i);
    if (page->is_all)
      patch_both(start + page->positions[i], FIRST_POSITION + (index + i) * POSITION_STEP);
  }
  if (page->is_all) {
    patch_both(start + page->last, FIRST_POSITION + index * POSITION_STEP);
    patch_both(start + page->next, FIRST_POSITION + (index + count) * POSITION_STEP);
  } else {
    canned_patch_number(start + page->next, FIRST_NUMBER + index + count);
    canned_patch_number(start + page->last, FIRST_NUMBER + length - 1);
    start[page->is_end] = index + count >= length;
  }
}

/* ---- Requests ----------------------------------------------------------------------------- */

static size_t begin(pump_buffer *out, uint8_t command) {
  static const pump_tcp_correlation somebody = {"a benchmark's id"};
  pump_bytes none = {0};
  return pump_tcp_frame_begin(out, command, &somebody, none, none);
}

size_t canned_read(pump_buffer *out, pump_bytes stream, int32_t count, bool is_all) {
  size_t mark, place;
  if (is_all) {
    mark = begin(out, PUMP_TCP_READ_ALL_FORWARD);
    put_number(out, 1, FIRST_POSITION);
    place = out->size - POSITION_SIZE;
    put_number(out, 2, FIRST_POSITION);
  } else {
    mark = begin(out, PUMP_TCP_READ_STREAM_FORWARD);
    uint8_t *to = pump_buffer_reserve(out, pump_pb_bytes_size(1, stream.size));
    check(to != NULL);
    pump_pb_put_bytes(to, 1, stream.data, stream.size);
    pump_buffer_grew(out, pump_pb_bytes_size(1, stream.size));
    put_number(out, 2, FIRST_NUMBER);
    place = out->size - NUMBER_SIZE;
  }
  put_number(out, 3, count);
  put_number(out, 4, 1);
  put_number(out, 5, 0);
  check(pump_tcp_frame_end(out, mark) == 0);
  return place;
}

void canned_write(pump_buffer *out, pump_bytes stream, size_t count) {
  static const pump_tcp_correlation somebody = {"a benchmark's id"};
  pump_new_event *events = calloc(count, sizeof *events);
  check(events != NULL);
  for (size_t i = 0; i < count; i++) {
    events[i] = (pump_new_event){
        .type = canned_type, .data = {canned_body, sizeof canned_body - 1}, .is_json = true};
    memcpy(events[i].id.bytes, &i, sizeof i);
  }
  pump_bytes none = {0};
  check(pump_tcp_encode_write(out, &somebody, none, none, stream, PUMP_ANY, false, events, count) ==
        0);
  free(events);
}

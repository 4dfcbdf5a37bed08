/* Protocol buffers in place: walking the fields of a message without unpacking it, and writing
 * fields straight into a buffer. Only for the hot path; everything else goes through protobuf-c.
 * Wire types 3 and 4 (groups) are malformed here, as nobody has used them for EventStore. */
#ifndef PUMP_WIRE_PROTOBUF_H
#define PUMP_WIRE_PROTOBUF_H

#include <pump.h>
#include <string.h>
#include "base/buffer.h"

typedef struct pump_pb_cursor {
  const uint8_t *at;
  const uint8_t *end;
  bool malformed; /* set once, then next() says false for good */
} pump_pb_cursor;

/* The key of a field below 16, which is one byte. */
#define PUMP_PB_KEY(number, type) ((number) << 3 | (type))
enum { PUMP_PB_VARINT = 0, PUMP_PB_FIXED64 = 1, PUMP_PB_BYTES = 2, PUMP_PB_FIXED32 = 5 };

typedef struct pump_pb_field {
  uint32_t number;
  uint8_t type;
  uint64_t value;   /* all but bytes */
  pump_bytes bytes; /* a view */
} pump_pb_field;

static inline pump_pb_cursor pump_pb_start(pump_bytes message) {
  const uint8_t *at = (const uint8_t *)message.data;
  return (pump_pb_cursor){at, at ? at + message.size : NULL, false};
}

/* What pump_pb_next is made of; each returns where the value ends, or NULL when it is malformed. It
 * stands here to be inlined, as every event has a dozen fields, and hands no address of the cursor
 * out, so that it stays in registers. */
#define PUMP_PB_INLINE static inline __attribute__((always_inline))

const uint8_t *pump_pb_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);

PUMP_PB_INLINE const uint8_t *pump_pb_varint(const uint8_t *at, const uint8_t *end,
                                             uint64_t *value) {
  if (end - at >= 2) {
    if (at[0] < 0x80) { /* most keys and numbers */
      *value = at[0];
      return at + 1;
    }
    if (at[1] < 0x80) { /* most sizes */
      *value = (uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7;
      return at + 2;
    }
  }
  uint64_t result = 0;
  at = pump_pb_long_varint(at, end, &result);
  *value = result;
  return at;
}

/* One that nobody asked for, or not yet. Long ones are what is worth skipping: eight bytes at
 * once. */
PUMP_PB_INLINE const uint8_t *pump_pb_skip_varint(const uint8_t *at, const uint8_t *end) {
  const uint8_t *limit = end - at < 10 ? end : at + 10;
  uint64_t bytes;
  if (end - at >= 8) {
    memcpy(&bytes, at, sizeof bytes);
    if ((~bytes & UINT64_C(0x8080808080808080)) == 0) at += 8;
  }
  while (at < limit)
    if (*at++ < 0x80) return at;
  return NULL;
}

PUMP_PB_INLINE const uint8_t *pump_pb_fixed(const uint8_t *at, const uint8_t *end, size_t size,
                                            uint64_t *value) {
  if ((size_t)(end - at) < size) return NULL;
  for (size_t i = size; i > 0; i--)
    *value = *value << 8 | at[i - 1];
  return at + size;
}

PUMP_PB_INLINE const uint8_t *pump_pb_bytes(const uint8_t *at, const uint8_t *end,
                                            pump_bytes *bytes) {
  uint64_t size = 0;
  at = pump_pb_varint(at, end, &size);
  if (!at || size > (uint64_t)(end - at)) return NULL;
  *bytes = (pump_bytes){(const char *)at, (size_t)size};
  return at + size;
}

PUMP_PB_INLINE const uint8_t *pump_pb_field_at(const uint8_t *at, const uint8_t *end,
                                               pump_pb_field *field) {
  uint64_t key = 0;
  at = pump_pb_varint(at, end, &key);
  if (!at || key >> 3 == 0 || key > UINT32_MAX) return NULL;
  *field = (pump_pb_field){.number = (uint32_t)(key >> 3), .type = key & 7};
  switch (field->type) {
  case PUMP_PB_VARINT: return pump_pb_varint(at, end, &field->value);
  case PUMP_PB_BYTES: return pump_pb_bytes(at, end, &field->bytes);
  case PUMP_PB_FIXED64: return pump_pb_fixed(at, end, 8, &field->value);
  case PUMP_PB_FIXED32: return pump_pb_fixed(at, end, 4, &field->value);
  default: return NULL;
  }
}

/* The next field; false at the end or when the message is malformed (see the cursor). */
PUMP_PB_INLINE bool pump_pb_next(pump_pb_cursor *cursor, pump_pb_field *field) {
  if (cursor->malformed || cursor->at == cursor->end) return false;
  const uint8_t *next = pump_pb_field_at(cursor->at, cursor->end, field);
  if (!next) {
    cursor->malformed = true;
    return false;
  }
  cursor->at = next;
  return true;
}

/* Sizes and writers. Signed 64-bit numbers are plain int64: ten bytes when negative. Sizes stand here
 * to be inlined: every event that is written is sized first. */
static inline size_t pump_pb_varint_size(uint64_t value) {
  unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
  return (bits * 9 + 64) / 64; /* the bits by seven, rounded up */
}

/* A field of type 0, key included: its size, and writing it. */
static inline size_t pump_pb_number_size(uint32_t number, uint64_t value) {
  return pump_pb_varint_size((uint64_t)number << 3) + pump_pb_varint_size(value);
}
uint8_t *pump_pb_put_varint(uint8_t *to, uint64_t value);
uint8_t *pump_pb_put_number(uint8_t *to, uint32_t number, uint64_t value);
/* A field of type 2, key and length included. */
static inline size_t pump_pb_bytes_size(uint32_t number, size_t size) {
  return pump_pb_varint_size((uint64_t)number << 3) + pump_pb_varint_size(size) + size;
}
uint8_t *pump_pb_put_bytes(uint8_t *to, uint32_t number, const void *data, size_t size);
/* Key and length of a field of type 2 whose contents the caller writes next. */
uint8_t *pump_pb_put_head(uint8_t *to, uint32_t number, size_t size);

#endif

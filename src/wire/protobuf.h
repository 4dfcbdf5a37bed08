/* Protocol buffers in place: walking the fields of a message without unpacking it, and writing
 * fields straight into a buffer. Only for the hot path; everything else goes through protobuf-c.
 * Wire types 3 and 4 (groups) are malformed here, as nobody has used them for EventStore. */
#ifndef PUMP_WIRE_PROTOBUF_H
#define PUMP_WIRE_PROTOBUF_H

#include <pump.h>
#include "base/buffer.h"

typedef struct pump_pb_cursor {
  const uint8_t *at;
  const uint8_t *end;
  bool malformed; /* set once, then next() says false for good */
} pump_pb_cursor;

typedef struct pump_pb_field {
  uint32_t number;
  uint8_t type;     /* 0 varint, 1 64-bit, 2 bytes, 5 32-bit */
  uint64_t value;   /* types 0, 1, 5 */
  pump_bytes bytes; /* type 2: a view */
} pump_pb_field;

pump_pb_cursor pump_pb_start(pump_bytes message);
/* The next field; false at the end or when the message is malformed (see the cursor). */
bool pump_pb_next(pump_pb_cursor *cursor, pump_pb_field *field);

/* Sizes and writers. Signed 64-bit numbers are plain int64: ten bytes when negative. */
size_t pump_pb_varint_size(uint64_t value);
uint8_t *pump_pb_put_varint(uint8_t *to, uint64_t value);
/* A field of type 0, key included: its size, and writing it. */
size_t pump_pb_number_size(uint32_t number, uint64_t value);
uint8_t *pump_pb_put_number(uint8_t *to, uint32_t number, uint64_t value);
/* A field of type 2, key and length included. */
size_t pump_pb_bytes_size(uint32_t number, size_t size);
uint8_t *pump_pb_put_bytes(uint8_t *to, uint32_t number, const void *data, size_t size);
/* Key and length of a field of type 2 whose contents the caller writes next. */
uint8_t *pump_pb_put_head(uint8_t *to, uint32_t number, size_t size);

#endif

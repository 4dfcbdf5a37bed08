#include "wire/protobuf.h"

#include <string.h>

enum { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

pump_pb_cursor pump_pb_start(pump_bytes message) {
  const uint8_t *at = (const uint8_t *)message.data;
  return (pump_pb_cursor){at, at ? at + message.size : NULL, false};
}

static bool read_varint(pump_pb_cursor *cursor, uint64_t *value) {
  const uint8_t *at = cursor->at;
  if (at < cursor->end && *at < 0x80) { /* one byte: most keys, most lengths */
    *value = *at;
    cursor->at = at + 1;
    return true;
  }
  uint64_t result = 0;
  for (unsigned shift = 0; shift < 70 && at < cursor->end; shift += 7) {
    uint8_t byte = *at++;
    result |= (uint64_t)(byte & 0x7f) << (shift & 63);
    if (byte < 0x80) {
      *value = result;
      cursor->at = at;
      return shift < 63 || byte <= 1;
    }
  }
  return false;
}

static bool read_fixed(pump_pb_cursor *cursor, size_t size, uint64_t *value) {
  if ((size_t)(cursor->end - cursor->at) < size) return false;
  uint64_t result = 0;
  for (size_t i = size; i > 0; i--)
    result = result << 8 | cursor->at[i - 1];
  cursor->at += size;
  *value = result;
  return true;
}

static bool read_field(pump_pb_cursor *cursor, pump_pb_field *field) {
  uint64_t key;
  if (!read_varint(cursor, &key) || key >> 3 == 0 || key > UINT32_MAX) return false;
  field->number = (uint32_t)(key >> 3);
  field->type = key & 7;
  field->value = 0;
  field->bytes = (pump_bytes){NULL, 0};
  switch (field->type) {
  case TYPE_VARINT: return read_varint(cursor, &field->value);
  case TYPE_FIXED64: return read_fixed(cursor, 8, &field->value);
  case TYPE_FIXED32: return read_fixed(cursor, 4, &field->value);
  case TYPE_BYTES: {
    uint64_t size;
    if (!read_varint(cursor, &size) || size > (uint64_t)(cursor->end - cursor->at)) return false;
    field->bytes = (pump_bytes){(const char *)cursor->at, (size_t)size};
    cursor->at += size;
    return true;
  }
  default: return false;
  }
}

bool pump_pb_next(pump_pb_cursor *cursor, pump_pb_field *field) {
  if (cursor->malformed || cursor->at == cursor->end) return false;
  if (read_field(cursor, field)) return true;
  cursor->malformed = true;
  return false;
}

size_t pump_pb_varint_size(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    size++;
  }
  return size;
}

uint8_t *pump_pb_put_varint(uint8_t *to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *to++ = (uint8_t)value;
  return to;
}

size_t pump_pb_number_size(uint32_t number, uint64_t value) {
  return pump_pb_varint_size((uint64_t)number << 3) + pump_pb_varint_size(value);
}

uint8_t *pump_pb_put_number(uint8_t *to, uint32_t number, uint64_t value) {
  return pump_pb_put_varint(pump_pb_put_varint(to, (uint64_t)number << 3 | TYPE_VARINT), value);
}

size_t pump_pb_bytes_size(uint32_t number, size_t size) {
  return pump_pb_varint_size((uint64_t)number << 3) + pump_pb_varint_size(size) + size;
}

uint8_t *pump_pb_put_head(uint8_t *to, uint32_t number, size_t size) {
  return pump_pb_put_varint(pump_pb_put_varint(to, (uint64_t)number << 3 | TYPE_BYTES), size);
}

uint8_t *pump_pb_put_bytes(uint8_t *to, uint32_t number, const void *data, size_t size) {
  to = pump_pb_put_head(to, number, size);
  if (size > 0) memcpy(to, data, size);
  return to + size;
}

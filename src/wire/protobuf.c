#include "wire/protobuf.h"

#include <endian.h>
#include <string.h>

/* Eight bytes that hold seven bits each, the lowest first, as one number. */
static uint64_t join_sevens(uint64_t bytes) {
  bytes = (bytes & 0x007f007f007f007f) | (bytes & 0x7f007f007f007f00) >> 1;
  bytes = (bytes & 0x00003fff00003fff) | (bytes & 0x3fff00003fff0000) >> 2;
  return (bytes & 0x000000000fffffff) | (bytes & 0x0fffffff00000000) >> 4;
}

/* Times and positions have six to ten bytes: eight are read at once where so many are left. */
const uint8_t *pump_pb_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
  uint64_t result = 0;
  unsigned shift = 0;
  if (end - at >= 8) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    bytes = le64toh(bytes);
    uint64_t ends = ~bytes & 0x8080808080808080;
    if (ends != 0) {
      uint64_t last = ends & -ends; /* the top bit of the last byte */
      *value = join_sevens(bytes & (last - 1) & 0x7f7f7f7f7f7f7f7f);
      return at + __builtin_ctzll(last) / 8 + 1;
    }
    result = join_sevens(bytes & 0x7f7f7f7f7f7f7f7f);
    shift = 56;
    at += 8;
  }
  for (; shift < 70 && at < end; shift += 7) {
    uint8_t byte = *at++;
    result |= (uint64_t)(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    *value = result;
    return shift < 63 || byte <= 1 ? at : NULL;
  }
  return NULL;
}

uint8_t *pump_pb_put_varint(uint8_t *to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *to++ = (uint8_t)value;
  return to;
}

uint8_t *pump_pb_put_number(uint8_t *to, uint32_t number, uint64_t value) {
  return pump_pb_put_varint(pump_pb_put_varint(to, (uint64_t)number << 3 | PUMP_PB_VARINT), value);
}

uint8_t *pump_pb_put_head(uint8_t *to, uint32_t number, size_t size) {
  return pump_pb_put_varint(pump_pb_put_varint(to, (uint64_t)number << 3 | PUMP_PB_BYTES), size);
}

uint8_t *pump_pb_put_bytes(uint8_t *to, uint32_t number, const void *data, size_t size) {
  to = pump_pb_put_head(to, number, size);
  if (size > 0) memcpy(to, data, size);
  return to + size;
}

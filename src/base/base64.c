#include "base/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pump_base64_write(pump_buffer *out, const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i += 3) {
    uint32_t bits = (uint32_t)data[i] << 16;
    if (i + 1 < size) bits |= (uint32_t)data[i + 1] << 8;
    if (i + 2 < size) bits |= data[i + 2];
    for (size_t k = 0; k < 4; k++)
      pump_buffer_byte(out, i + k <= size ? (uint8_t)digits[bits >> (18 - 6 * k) & 63] : '=');
  }
}

ptrdiff_t pump_base64_read(uint8_t *to, size_t room, pump_bytes text) {
  size_t size = 0, padding = 0;
  if (text.size % 4 != 0) return -1;
  while (padding < 2 && text.size > padding && text.data[text.size - 1 - padding] == '=')
    padding++;
  for (size_t i = 0; i < text.size; i += 4) {
    uint32_t bits = 0;
    size_t here = i + 4 < text.size ? 3 : 3 - padding;
    for (size_t k = 0; k < 4; k++) {
      const char *digit = k <= here ? memchr(digits, text.data[i + k], sizeof digits - 1) : digits;
      if (!digit) return -1;
      bits = bits << 6 | (uint32_t)(digit - digits);
    }
    if (here > room - size || (bits & (0xffffffu >> (8 * here) & 0xffffffu)) != 0) return -1;
    for (size_t k = 0; k < here; k++)
      to[size++] = (uint8_t)(bits >> (16 - 8 * k));
  }
  return (ptrdiff_t)size;
}

/* Small helpers for views of bytes. */
#ifndef PUMP_BASE_BYTES_H
#define PUMP_BASE_BYTES_H

#include <pump.h>
#include <string.h>

static inline pump_bytes pump_bytes_of(const char *text) {
  return (pump_bytes){text, text ? strlen(text) : 0};
}

static inline bool pump_bytes_equal(pump_bytes a, pump_bytes b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool pump_bytes_is(pump_bytes bytes, const char *text) {
  return pump_bytes_equal(bytes, pump_bytes_of(text));
}

static inline bool pump_bytes_starts(pump_bytes bytes, const char *prefix) {
  size_t size = strlen(prefix);
  return bytes.size >= size && memcmp(bytes.data, prefix, size) == 0;
}

static inline bool pump_bytes_have(pump_bytes bytes, const char *text) {
  while (bytes.size > 0 && !pump_bytes_starts(bytes, text))
    bytes = (pump_bytes){bytes.data + 1, bytes.size - 1};
  return bytes.size > 0;
}

/* What may stand in an address: no spaces, no control characters, nothing that means something in
 * a URL or a line of text. */
static inline bool pump_bytes_are_host(pump_bytes text) {
  static const char allowed[] =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%";
  size_t size = 0;
  while (size < text.size && memchr(allowed, text.data[size], sizeof allowed - 1))
    size++;
  return size > 0 && size == text.size;
}

#endif

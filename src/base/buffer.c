#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void pump_buffer_init(pump_buffer *buffer) {
  *buffer = (pump_buffer){0};
}

void pump_buffer_free(pump_buffer *buffer) {
  free(buffer->data);
  pump_buffer_init(buffer);
}

void pump_buffer_clear(pump_buffer *buffer) {
  buffer->size = 0;
  buffer->failed = false;
}

void pump_buffer_truncate(pump_buffer *buffer, size_t size) {
  if (size < buffer->size) buffer->size = size;
  buffer->failed = false;
}

uint8_t *pump_buffer_reserve(pump_buffer *buffer, size_t size) {
  if (buffer->failed) return NULL;
  if (size > buffer->capacity - buffer->size) {
    size_t wanted = buffer->size + size;
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < wanted && capacity <= SIZE_MAX / 2)
      capacity *= 2;
    uint8_t *data = wanted >= size && capacity >= wanted ? realloc(buffer->data, capacity) : NULL;
    if (!data) {
      buffer->failed = true;
      return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
  }
  return buffer->data ? buffer->data + buffer->size : NULL;
}

void pump_buffer_grew(pump_buffer *buffer, size_t size) {
  buffer->size += size;
}

void pump_buffer_append(pump_buffer *buffer, const void *data, size_t size) {
  if (size == 0) return;
  uint8_t *to = pump_buffer_reserve(buffer, size);
  if (!to) return;
  memcpy(to, data, size);
  buffer->size += size;
}

void pump_buffer_byte(pump_buffer *buffer, uint8_t byte) {
  pump_buffer_append(buffer, &byte, 1);
}

void pump_buffer_text(pump_buffer *buffer, const char *text) {
  pump_buffer_append(buffer, text, strlen(text));
}

void pump_buffer_printf(pump_buffer *buffer, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  pump_buffer_append(buffer, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

const char *pump_buffer_string(pump_buffer *buffer) {
  uint8_t *end = pump_buffer_reserve(buffer, 1);
  if (!end) return "";
  *end = '\0';
  return (const char *)buffer->data;
}

/* Bytes that grow at the end: what is to be sent, or text that is being written.
 *
 * A failed allocation sets `failed`, and every later write does nothing: a writer encodes a whole
 * message and asks once. */
#ifndef PUMP_BASE_BUFFER_H
#define PUMP_BASE_BUFFER_H

#include <pump.h>

typedef struct pump_buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
  bool failed;
} pump_buffer;

void pump_buffer_init(pump_buffer *buffer);
void pump_buffer_free(pump_buffer *buffer);
/* Forgets the contents (and an earlier failure), keeps the memory. */
void pump_buffer_clear(pump_buffer *buffer);
/* Cuts back to an earlier size: undoes a message that was not finished. */
void pump_buffer_truncate(pump_buffer *buffer, size_t size);
/* Room for that many more bytes, where the caller may write them before pump_buffer_grew.
 * NULL when there is no memory. */
uint8_t *pump_buffer_reserve(pump_buffer *buffer, size_t size);
void pump_buffer_grew(pump_buffer *buffer, size_t size);
void pump_buffer_append(pump_buffer *buffer, const void *data, size_t size);
void pump_buffer_byte(pump_buffer *buffer, uint8_t byte);
void pump_buffer_text(pump_buffer *buffer, const char *text);
/* printf; what does not fit into 1 KiB is cut. */
void pump_buffer_printf(pump_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A NUL behind the contents (not counted in size), so that data is a C string; "" on failure. */
const char *pump_buffer_string(pump_buffer *buffer);

#endif

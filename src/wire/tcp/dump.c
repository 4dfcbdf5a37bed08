#include "wire/tcp/dump.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/tcp/command.h"

/* Bytes of a body that are shown. */
#define SHOWN 48

typedef struct text {
  char *at;
  size_t left;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *to, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(to->at, to->left, format, arguments);
  va_end(arguments);
  size_t taken = size > 0 && (size_t)size < to->left ? (size_t)size : to->left - 1;
  to->at += taken;
  to->left -= taken;
}

static void put_hex(text *to, const void *bytes, size_t count, const char *separator) {
  for (size_t i = 0; i < count; i++)
    put(to, "%s%02x", i > 0 ? separator : "", ((const uint8_t *)bytes)[i]);
}

void pump_tcp_dump(char line[PUMP_TCP_LONGEST_DUMP], const char *direction,
                   const pump_tcp_frame *frame) {
  text to = {line, PUMP_TCP_LONGEST_DUMP};
  const char *name = pump_tcp_command_name(frame->command);
  size_t size = frame->payload.size, shown = size < SHOWN ? size : SHOWN;
  put(&to, "%s %s (0x%02x), %zu bytes, ", direction, name ? name : "unknown command",
      frame->command, size);
  if (frame->flags & PUMP_TCP_FLAG_AUTHENTICATED) put(&to, "with a login, ");
  put_hex(&to, frame->correlation.bytes, sizeof frame->correlation.bytes, "");
  if (shown > 0) put(&to, ": ");
  put_hex(&to, frame->payload.data, shown, " ");
  if (size > shown) put(&to, " …");
}

/* What a spec in C needs: checks that print TAP. Each source that includes it is one program. */
#ifndef SPEC_TAP_H
#define SPEC_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count;
static int tap_failures;

/* One test. The text says what holds. */
__attribute__((format(printf, 2, 3))) static inline bool tap_ok(bool holds, const char *format,
                                                                ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("%sok %d - ", holds ? "" : "not ", ++tap_count);
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
  if (!holds) tap_failures++;
  fflush(stdout);
  return holds;
}

/* The plan and the exit status. */
static inline int tap_done(void) {
  printf("1..%d\n", tap_count);
  return tap_failures > 0;
}

#endif

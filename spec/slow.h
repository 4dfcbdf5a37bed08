/* What makes programs slow that are not: valgrind, and others who want the processor too. */
#ifndef SPEC_SLOW_H
#define SPEC_SLOW_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* How much slower programs are than they usually are, under valgrind: ./test --valgrind sets
 * PUMP_SLOW, and specs multiply their own time limits by it. */
static inline int slowness(void) {
  const char *text = getenv("PUMP_SLOW");
  int factor = text ? atoi(text) : 1;
  return factor > 0 ? factor : 1;
}

/* The milliseconds in which a process was to run and another one did; 0 where the system does not
 * say. Limits of time that are close are longer by them. */
static inline int64_t time_waited(int pid) {
  char name[40];
  long long ran, waited = 0;
  snprintf(name, sizeof name, "/proc/%d/schedstat", pid);
  FILE *file = fopen(name, "r");
  if (file && fscanf(file, "%lld %lld", &ran, &waited) != 2) waited = 0;
  if (file) fclose(file);
  return waited / 1000000;
}

#endif

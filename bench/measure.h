/* What every measuring program of the benchmark says of itself: one line of name=value. CPU is this
 * process's own, user and system, by getrusage. */
#ifndef PUMP_BENCH_MEASURE_H
#define PUMP_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

typedef struct measure {
  double cpu, wall; /* seconds */
} measure;

static inline double measure_wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline measure measure_now(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
               (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
  return (measure){cpu, measure_wall()};
}

static inline long measure_rss(void) {
  long kib = 0;
  char line[128];
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
  if (file) fclose(file);
  return kib;
}

/* events, CPU and wall time since start, resident size. */
static inline void measure_say(measure start, long long events) {
  measure now = measure_now();
  printf("events=%lld cpu=%.9f wall=%.9f rss=%ld\n", events, now.cpu - start.cpu,
         now.wall - start.wall, measure_rss());
}

static inline int measure_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Round trips in seconds: p50 and p99 of them, and CPU a round trip. */
static inline void measure_say_trips(measure start, double *trips, size_t count) {
  measure now = measure_now();
  qsort(trips, count, sizeof *trips, measure_compare);
  printf("events=%zu cpu=%.9f wall=%.9f p50=%.9f p99=%.9f rss=%ld\n", count, now.cpu - start.cpu,
         now.wall - start.wall, trips[count / 2], trips[count * 99 / 100], measure_rss());
}

#endif

#include "node/timings.h"

#include <stdlib.h>
#include <string.h>

#define MOST 1000

struct pump_timings {
  size_t count, next;
  uint64_t ms[MOST]; /* a ring */
};

pump_timings *pump_timings_new(void) {
  return calloc(1, sizeof(pump_timings));
}

void pump_timings_free(pump_timings *timings) {
  free(timings);
}

void pump_timings_add(pump_timings *timings, uint64_t ms) {
  timings->ms[timings->next] = ms;
  timings->next = (timings->next + 1) % MOST;
  if (timings->count < MOST) timings->count++;
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

/* The quintiles are where each begins, as on servers. */
bool pump_timings_look(const pump_timings *timings, pump_timing told[PUMP_TIMING_COUNT]) {
  static const struct {
    const char *key;
    size_t per_mille;
  } places[] = {{"Median", 500},     {"Fastest", 0},      {"Quintile 1", 0},   {"Quintile 2", 200},
                {"Quintile 3", 400}, {"Quintile 4", 600}, {"Quintile 5", 800}, {"90%", 900},
                {"95%", 950},        {"99%", 990},        {"99.5%", 995},      {"99.9%", 999}};
  enum { PLACES = sizeof places / sizeof *places };
  uint64_t sorted[MOST], sum = 0;
  size_t count = timings ? timings->count : 0;
  if (count == 0) return false;
  memcpy(sorted, timings->ms, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare);
  for (size_t i = 0; i < count; i++)
    sum += sorted[i];
  told[0] = (pump_timing){"Mean", sum / count};
  for (size_t i = 0; i < PLACES; i++)
    told[i + 1] = (pump_timing){places[i].key, sorted[count * places[i].per_mille / 1000]};
  told[PLACES + 1] = (pump_timing){"Highest", sorted[count - 1]};
  return true;
}

/* Latencies in buckets: what is said of them is never less than what was, and not much more. */
#include "tap.h"

#include <math.h>
#include <stdlib.h>

#include "client/stats.h"

static int compare(const void *a, const void *b) {
  const uint64_t *left = a, *right = b;
  return *left < *right ? -1 : *left > *right;
}

/* Values of every size, from nothing to hours. */
static void fill(uint64_t *values, size_t count) {
  uint64_t random = 20261122;
  for (size_t i = 0; i < count; i++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    values[i] = (random >> 8) >> (random >> 33) % 50;
    if (values[i] > UINT64_C(30000000000000)) values[i] = i;
  }
}

static void quantiles_are_near(void) {
  enum { COUNT = 20000 };
  static uint64_t values[COUNT];
  static const double shares[] = {0, 0.1, 0.5, 0.9, 0.99, 0.999};
  pump_stats stats = {0};
  int less = 0, far = 0, wrong = 0;
  fill(values, COUNT);
  for (size_t i = 0; i < COUNT; i++)
    pump_stats_answered(&stats, &(pump_result){.elapsed_ns = values[i], .status = -(int)(i % 2)});
  qsort(values, COUNT, sizeof *values, compare);
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
    uint64_t real = values[(size_t)(shares[i] * COUNT)];
    uint64_t said = pump_stats_quantile(&stats, shares[i]);
    less += said < real;
    far += said > real + real / 4 + 1000;
  }
  for (int power = 0; power < 36; power++) {
    uint64_t limit = (UINT64_C(1) << power) * 1000, real = 0;
    while (real < COUNT && values[real] < limit)
      real++;
    wrong += pump_stats_below(&stats, limit) != real;
  }
  tap_ok(stats.requests == COUNT && stats.failures == COUNT / 2, "all are counted");
  tap_ok(less == 0 && far == 0, "quantiles are never too small (%d), and near (%d are not)", less,
         far);
  tap_ok(wrong == 0, "how many were within a power of two is exact (%d are not)", wrong);
  tap_ok(pump_stats_quantile(&stats, 1) == values[COUNT - 1] &&
             stats.latency_max_ns == values[COUNT - 1],
         "the largest is itself");
}

static void odd_ones(void) {
  pump_stats stats = {0};
  tap_ok(pump_stats_quantile(&stats, 0.5) == 0 && pump_stats_below(&stats, 1000) == 0,
         "without any there is nothing to say");
  pump_stats_answered(&stats, &(pump_result){.elapsed_ns = UINT64_MAX});
  tap_ok(pump_stats_quantile(&stats, 0.5) > UINT64_C(1) << 36 &&
             pump_stats_below(&stats, UINT64_MAX) == 1,
         "what lasted for ever is in the last bucket");
  tap_ok(pump_stats_quantile(&stats, (double)NAN) == UINT64_MAX &&
             pump_stats_quantile(&stats, -1e300) == pump_stats_quantile(&stats, 0),
         "shares that are none do no harm");
}

int main(void) {
  quantiles_are_near();
  odd_ones();
  return tap_done();
}

/* What a client counts. */
#include "client/client.h"

/* Buckets of latencies: up to 4 µs one a microsecond, then four to each power of two. */
static size_t bucket_of(uint64_t microseconds) {
  if (microseconds < 4) return (size_t)microseconds;
  int top = 63 - __builtin_clzll(microseconds);
  size_t bucket = (size_t)(top - 1) * 4 + (size_t)(microseconds >> (top - 2) & 3);
  return bucket < PUMP_LATENCY_BUCKETS ? bucket : PUMP_LATENCY_BUCKETS - 1;
}

/* Where a bucket begins, in µs. */
static uint64_t beginning_of(size_t bucket) {
  if (bucket < 4) return bucket;
  return (4 + (uint64_t)(bucket & 3)) << (bucket / 4 - 1);
}

void pump_stats_sending(pump_client *client) {
  client->stats.bytes_out += pump_session_output(client->session)->size;
  client->stats.frames_out += pump_session_sends(client->session);
}

void pump_stats_answered(pump_stats *stats, const pump_result *result) {
  uint64_t took = result->elapsed_ns;
  stats->requests++;
  stats->failures += result->status != 0;
  stats->latency_sum_ns += took;
  if (took > stats->latency_max_ns) stats->latency_max_ns = took;
  stats->latency[bucket_of(took / 1000)]++;
}

void pump_client_stats(const pump_client *client, pump_stats *stats) {
  *stats = client->stats;
  stats->in_flight = client->in_flight;
  stats->waiting = client->line.waiting + client->line.retrying;
}

uint64_t pump_stats_below(const pump_stats *stats, uint64_t ns) {
  uint64_t count = 0;
  for (size_t i = 0; i < PUMP_LATENCY_BUCKETS && beginning_of(i + 1) <= ns / 1000; i++)
    count += stats->latency[i];
  return count;
}

uint64_t pump_stats_quantile(const pump_stats *stats, double share) {
  if (stats->requests == 0 || !(share < 1)) return stats->latency_max_ns;
  uint64_t count = 0, wanted = share > 0 ? (uint64_t)(share * (double)stats->requests) : 0;
  for (size_t i = 0; i < PUMP_LATENCY_BUCKETS; i++) {
    count += stats->latency[i];
    uint64_t end = beginning_of(i + 1) * 1000;
    if (count > wanted) return end < stats->latency_max_ns ? end : stats->latency_max_ns;
  }
  return stats->latency_max_ns;
}

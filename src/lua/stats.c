#include "lua/stats.h"

/* The buckets that are shown: 64 µs, and up by fours to a quarter of a minute. */
enum { FIRST_BUCKET = 6, LAST_BUCKET = 24, BUCKET_STEP = 2 };

static void set_count(lua_State *L, const char *name, uint64_t count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, uint64_t ns) {
  lua_pushnumber(L, (lua_Number)ns / 1e9);
  lua_setfield(L, -2, name);
}

static void push_buckets(lua_State *L, const pump_stats *stats) {
  lua_newtable(L);
  for (int power = FIRST_BUCKET, at = 1; power <= LAST_BUCKET; power += BUCKET_STEP, at++) {
    uint64_t limit = (UINT64_C(1) << power) * 1000;
    lua_createtable(L, 0, 2);
    set_seconds(L, "seconds", limit);
    set_count(L, "count", pump_stats_below(stats, limit));
    lua_rawseti(L, -2, at);
  }
}

static void push_latency(lua_State *L, const pump_stats *stats) {
  lua_newtable(L);
  set_count(L, "count", stats->requests);
  set_seconds(L, "sum", stats->latency_sum_ns);
  set_seconds(L, "max", stats->latency_max_ns);
  set_seconds(L, "p50", pump_stats_quantile(stats, 0.5));
  set_seconds(L, "p90", pump_stats_quantile(stats, 0.9));
  set_seconds(L, "p99", pump_stats_quantile(stats, 0.99));
  push_buckets(L, stats);
  lua_setfield(L, -2, "buckets");
}

void pump_lua_push_stats(lua_State *L, const pump_stats *stats) {
  lua_newtable(L);
  set_count(L, "bytes_in", stats->bytes_in);
  set_count(L, "bytes_out", stats->bytes_out);
  set_count(L, "frames_in", stats->frames_in);
  set_count(L, "frames_out", stats->frames_out);
  set_count(L, "requests", stats->requests);
  set_count(L, "failures", stats->failures);
  set_count(L, "retries", stats->retries);
  set_count(L, "connections", stats->connections);
  set_count(L, "reconnects", stats->reconnects);
  set_count(L, "in_flight", stats->in_flight);
  set_count(L, "waiting", stats->waiting);
  push_latency(L, stats);
  lua_setfield(L, -2, "latency");
}

/* What the parts of chaos_test.c share: the clients, what was written, and what is wrong so far. */
#ifndef SPEC_CHAOS_H
#define SPEC_CHAOS_H

#include <inttypes.h>
#include <uv.h>

#include <pump.h>
#include "node_child.h"
#include "relay.h"

enum { CLIENTS = 4, STREAMS = 2 * CLIENTS, MAX_EVENTS = 4, PATIENCE = 3000 };

typedef enum chaos_state { CHAOS_ASKED, CHAOS_DONE, CHAOS_FAILED, CHAOS_UNKNOWN } chaos_state;

/* One write of up to MAX_EVENTS events, known by its number, which is in the ids of its events. */
typedef struct chaos_write {
  uint8_t stream;
  uint8_t count;
  chaos_state state;
  uint8_t stands[MAX_EVENTS]; /* how often each is there in the end */
  int64_t first;              /* DONE: the number of its first event */
} chaos_write;

static struct {
  uv_loop_t loop;
  relay relay, other; /* both lead to the node */
  node_child node;
  pump_client *clients[CLIENTS];
  unsigned lives;   /* of the node */
  bool is_troubled; /* while there is trouble */
  bool is_ending;   /* no more is written */
  chaos_write *writes;
  unsigned count, room;
  unsigned states[4]; /* of writes, by state */
  unsigned events, gaps, resumed, reconnects, late, longest;
  unsigned turn_began, longest_turn; /* of the loop: where it stands still, nothing is answered */
  unsigned odd;                      /* things that must not be */
  uint64_t random;
} chaos;

static inline unsigned dice(unsigned sides) {
  chaos.random = chaos.random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(chaos.random >> 33) % sides;
}

static inline unsigned chaos_now(void) {
  return (unsigned)(uv_hrtime() / 1000000);
}

/* The first of them are told; the rest would say the same. */
__attribute__((format(printf, 1, 2))) static inline void chaos_odd(const char *format, ...) {
  va_list arguments;
  if (chaos.odd++ >= 20) return;
  va_start(arguments, format);
  printf("# ");
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
  fflush(stdout);
}

/* Streams of writers that know which version they expect come first. */
static inline bool chaos_is_chain(int stream) {
  return stream < CLIENTS;
}

static inline pump_bytes chaos_name(int stream) {
  static char names[STREAMS][24];
  int size = snprintf(names[stream], sizeof names[stream], "chaos-%s-%d",
                      chaos_is_chain(stream) ? "chain" : "burst", stream);
  return (pump_bytes){names[stream], (size_t)size};
}

/* -1: none of ours. */
static inline int chaos_stream_of(pump_bytes name) {
  for (int i = 0; i < STREAMS; i++) {
    pump_bytes own = chaos_name(i);
    if (own.size == name.size && memcmp(own.data, name.data, name.size) == 0) return i;
  }
  return -1;
}

static inline void chaos_turn_ended(void) {
  unsigned turn = chaos_now() - chaos.turn_began;
  if (turn > chaos.longest_turn) chaos.longest_turn = turn;
}

/* Every answer comes by its deadline, or a moment later where the machine is busy. */
static inline void chaos_took(const pump_result *result, const char *what) {
  unsigned took = (unsigned)(result->elapsed_ns / 1000000);
  if (took > chaos.longest) chaos.longest = took;
  chaos_turn_ended();
  if (took > (PATIENCE + 3000) * (unsigned)slowness() + chaos.longest_turn)
    chaos_odd("%s was answered after %u ms", what, took);
}

/* Runs fn after so many ms. */
typedef struct chaos_timer {
  uv_timer_t timer;
  void (*fn)(void *ud);
  void *ud;
} chaos_timer;

static void chaos_timer_gone(uv_handle_t *handle) {
  free(handle->data);
}

static void chaos_timer_fired(uv_timer_t *handle) {
  chaos_timer *timer = handle->data;
  timer->fn(timer->ud);
  uv_close((uv_handle_t *)handle, chaos_timer_gone);
}

static inline void chaos_later(unsigned ms, void (*fn)(void *ud), void *ud) {
  chaos_timer *timer = calloc(1, sizeof *timer);
  if (!timer) abort();
  *timer = (chaos_timer){.fn = fn, .ud = ud};
  uv_timer_init(&chaos.loop, &timer->timer);
  timer->timer.data = timer;
  uv_update_time(&chaos.loop);
  uv_timer_start(&timer->timer, chaos_timer_fired, ms, 0);
}

#endif

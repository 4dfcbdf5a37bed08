/* Out of memory on purpose: a program linked with --wrap=malloc and its kin (pump_starve_spec in
 * CMakeLists.txt) can let any one allocation fail, and counts what was not given back. Each source
 * that includes this is one program. */
#ifndef SPEC_STARVE_H
#define SPEC_STARVE_H

#include "tap.h"

#include <stddef.h>
#include <stdlib.h>

static long starve_at; /* the allocation that fails, counted from 1; 0: none */
static long starve_count;
static long starve_alive;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static inline bool starve_now(void) {
  return ++starve_count == starve_at;
}

static inline void *starve_made(void *memory) {
  starve_alive += memory != NULL;
  return memory;
}

void *__wrap_malloc(size_t size) {
  return starve_now() ? NULL : starve_made(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
  return starve_now() ? NULL : starve_made(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
  if (starve_now()) return NULL;
  void *moved = __real_realloc(memory, size);
  return memory ? moved : starve_made(moved);
}

void __wrap_free(void *memory) {
  starve_alive -= memory != NULL;
  __real_free(memory);
}

/* From one to the other there is memory enough, and nothing is counted: for what a spec plays besides
 * what it looks at. */
typedef struct starve_state {
  long at, count;
} starve_state;

static inline starve_state starve_pause(void) {
  starve_state before = {starve_at, starve_count};
  starve_at = 0;
  return before;
}

static inline void starve_go_on(starve_state before) {
  starve_at = before.at;
  starve_count = before.count;
}

/* Runs it with each of its allocations failed in turn, and once with none. It must return
 * refusal while one fails and 0 at last, and leave nothing allocated. The number of allocations,
 * or -1 with a line that says what went wrong. */
static inline long starve(int (*run)(void *ud), void *ud, int refusal) {
  for (long at = 1;; at++) {
    long alive = starve_alive;
    starve_count = 0;
    starve_at = at;
    int code = run(ud);
    bool reached = starve_count >= at;
    starve_at = 0;
    if (code != (reached ? refusal : 0)) {
      printf("# allocation %ld %s: %d\n", at, reached ? "failed" : "was not reached", code);
      return -1;
    }
    if (starve_alive != alive) {
      printf("# allocation %ld failed: %ld blocks leaked\n", at, starve_alive - alive);
      return -1;
    }
    if (!reached) return at - 1;
  }
}

#endif

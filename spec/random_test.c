/* Ids of events: like no other, also where a process was copied with the generator in it. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/random.h"

enum { MANY = 100000, SOME = 3 * PUMP_IDS_A_SEED / 2 };

static pump_new_event events[MANY];

static int compare(const void *a, const void *b) {
  return memcmp(&((const pump_new_event *)a)->id, &((const pump_new_event *)b)->id,
                sizeof(pump_guid));
}

static void ids_are_unique(void) {
  pump_random pool = {0};
  int wrong = 0, same = 0, shape = 0;
  for (size_t i = 0, size = 1; i < MANY; i += size, size = i % 97 + 1)
    wrong += pump_random_ids(&pool, events + i, i + size < MANY ? size : MANY - i) != 0;
  for (size_t i = 0; i < MANY; i++)
    shape += events[i].id.bytes[6] >> 4 != 4 || events[i].id.bytes[8] >> 6 != 2;
  qsort(events, MANY, sizeof *events, compare);
  for (size_t i = 1; i < MANY; i++)
    same += compare(&events[i - 1], &events[i]) == 0;
  tap_ok(wrong == 0 && same == 0, "%d ids, none twice (%d)", MANY, same);
  tap_ok(shape == 0, "each is a version 4 UUID");
}

static void given_ids_stay(void) {
  pump_random pool = {0};
  pump_new_event both[2] = {{.id = {{1, 2, 3}}}};
  tap_ok(pump_random_ids(&pool, both, 2) == 0 && both[0].id.bytes[0] == 1 &&
             both[0].id.bytes[15] == 0 && both[1].id.bytes[6] != 0,
         "an id that was given stays");
}

/* The child goes on with what it was copied with, the parent too. */
static void forks_differ(void) {
  static pump_new_event own[SOME], child[SOME];
  pump_random pool = {0};
  int ends[2], same = 0;
  pump_random_ids(&pool, own, 1);
  if (pipe(ends) != 0) return;
  pid_t pid = fork();
  own[0] = (pump_new_event){0};
  pump_random_ids(&pool, own, SOME);
  if (pid == 0) _exit(write(ends[1], own, sizeof own) != sizeof own);
  int status = 0;
  bool is_read = read(ends[0], child, sizeof child) == sizeof child;
  waitpid(pid, &status, 0);
  for (size_t i = 0; i < SOME; i++)
    for (size_t k = 0; k < SOME; k++)
      same += compare(&own[i], &child[k]) == 0;
  tap_ok(is_read && status == 0 && same == 0, "a fork makes ids of its own (%d the same)", same);
}

int main(void) {
  ids_are_unique();
  given_ids_stay();
  forks_differ();
  return tap_done();
}

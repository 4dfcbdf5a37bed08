#include "net/random.h"

#include <string.h>
#include <uv.h>

#include "base/guid.h"

int pump_random_take(void *to, size_t size) {
  return uv_random(NULL, NULL, to, size, 0, NULL) == 0 ? 0 : PUMP_ENOTSUPPORTED;
}

static uint64_t rotate(uint64_t value, int bits) {
  return value << bits | value >> (64 - bits);
}

/* xoshiro256++ by Blackman and Vigna. */
static uint64_t next(uint64_t state[4]) {
  uint64_t result = rotate(state[0] + state[3], 23) + state[0];
  uint64_t shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 45);
  return result;
}

static int seed(pump_random *pool) {
  int code = pump_random_take(pool->state, sizeof pool->state);
  pool->left = code == 0 ? PUMP_IDS_A_SEED : 0;
  return code;
}

static int make_id(pump_random *pool, pump_guid *id) {
  int code = pool->left == 0 ? seed(pool) : 0;
  if (code != 0) return code;
  uint64_t halves[] = {next(pool->state), next(pool->state)};
  memcpy(id->bytes, halves, sizeof halves);
  pump_guid_stamp(id);
  pool->left--;
  return 0;
}

/* Who we are is asked once a request, as that is a call of the system. */
int pump_random_ids(pump_random *pool, pump_new_event *events, size_t count) {
  if (count == 0) return 0;
  long self = (long)uv_os_getpid();
  if (pool->owner != self) pool->left = 0;
  pool->owner = self;
  int code = 0;
  for (size_t i = 0; code == 0 && i < count; i++)
    if (pump_guid_is_zero(&events[i].id)) code = make_id(pool, &events[i].id);
  return code;
}

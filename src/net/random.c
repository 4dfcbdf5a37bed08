#include "net/random.h"

#include <string.h>
#include <uv.h>

#include "base/guid.h"

/* Asking who we are costs more than sixteen bytes are worth: once for each of the calls below. */
static void notice_fork(pump_random *pool) {
  long self = (long)uv_os_getpid();
  if (pool->owner != self) pool->left = 0;
  pool->owner = self;
}

static int take(pump_random *pool, void *to, size_t size) {
  if (pool->left < size) {
    if (uv_random(NULL, NULL, pool->bytes, sizeof pool->bytes, 0, NULL) != 0)
      return PUMP_ENOTSUPPORTED;
    pool->left = sizeof pool->bytes;
  }
  pool->left -= size;
  memcpy(to, pool->bytes + pool->left, size);
  return 0;
}

int pump_random_take(pump_random *pool, void *to, size_t size) {
  notice_fork(pool);
  return take(pool, to, size);
}

int pump_random_ids(pump_random *pool, pump_new_event *events, size_t count) {
  int code = 0;
  notice_fork(pool);
  for (size_t i = 0; code == 0 && i < count; i++) {
    if (!pump_guid_is_zero(&events[i].id)) continue;
    code = take(pool, events[i].id.bytes, sizeof events[i].id.bytes);
    pump_guid_stamp(&events[i].id);
  }
  return code;
}

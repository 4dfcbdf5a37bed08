#include "net/random.h"

#include <string.h>
#include <uv.h>

#include "base/guid.h"

int pump_random_take(pump_random *pool, void *to, size_t size) {
  long self = (long)uv_os_getpid();
  if (pool->left < size || pool->owner != self) {
    if (uv_random(NULL, NULL, pool->bytes, sizeof pool->bytes, 0, NULL) != 0)
      return PUMP_ENOTSUPPORTED;
    pool->left = sizeof pool->bytes;
    pool->owner = self;
  }
  pool->left -= size;
  memcpy(to, pool->bytes + pool->left, size);
  return 0;
}

int pump_random_guid(pump_random *pool, pump_guid *guid) {
  int code = pump_random_take(pool, guid->bytes, sizeof guid->bytes);
  if (code == 0) pump_guid_stamp(guid);
  return code;
}

/* Base64 as RFC 4648 has it, padded. */
#ifndef PUMP_BASE_BASE64_H
#define PUMP_BASE_BASE64_H

#include <stddef.h>

#include "base/buffer.h"

void pump_base64_write(pump_buffer *out, const uint8_t *data, size_t size);
/* How many bytes it was, -1: it is no base64, or longer than there is room for. */
ptrdiff_t pump_base64_read(uint8_t *to, size_t room, pump_bytes text);

#endif

/* Fuzzer of the frame reader: the same bytes, given at once and in pieces (the first byte says of
 * what size), are the same frames and the same end. */
#include <stdlib.h>
#include <string.h>

#include "wire/tcp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BODY 100000

/* What was read, boiled down to two numbers. */
typedef struct digest {
  uint64_t frames, sum;
  int end;
} digest;

static void digest_bytes(digest *seen, pump_bytes bytes) {
  seen->sum = seen->sum * 31 + bytes.size;
  for (size_t i = 0; i < bytes.size; i++)
    seen->sum = seen->sum * 31 + (uint8_t)bytes.data[i];
}

static void digest_frame(digest *seen, const pump_tcp_frame *frame) {
  seen->frames++;
  seen->sum = seen->sum * 31 + frame->command + frame->flags;
  digest_bytes(seen, (pump_bytes){(const char *)frame->correlation.bytes, 16});
  digest_bytes(seen, frame->login);
  digest_bytes(seen, frame->password);
  digest_bytes(seen, frame->payload);
}

static digest read_all(const uint8_t *data, size_t size, size_t piece) {
  pump_tcp_reader reader;
  pump_tcp_reader_init(&reader, MAX_BODY);
  digest seen = {0};
  while (size > 0 && seen.end != PUMP_EPROTOCOL) {
    uint8_t *to;
    size_t room;
    if (pump_tcp_reader_space(&reader, &to, &room) != 0 || room == 0) abort();
    if (room > size) room = size;
    if (room > piece) room = piece;
    memcpy(to, data, room);
    pump_tcp_reader_filled(&reader, room);
    data += room;
    size -= room;
    pump_tcp_frame frame;
    while ((seen.end = pump_tcp_reader_next(&reader, &frame)) == 1 || seen.end == PUMP_EINVALID)
      digest_frame(&seen, &frame);
  }
  pump_tcp_reader_free(&reader);
  return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  digest whole = read_all(data + 1, size - 1, SIZE_MAX);
  digest pieces = read_all(data + 1, size - 1, 1 + data[0] % 64);
  if (whole.frames != pieces.frames || whole.sum != pieces.sum || whole.end != pieces.end) abort();
  return 0;
}

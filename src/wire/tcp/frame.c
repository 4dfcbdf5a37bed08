#include "wire/tcp/frame.h"

#include <stdio.h>
#include <string.h>

#include "wire/tcp/command.h"

/* One read of a busy socket brings up to this much; more where frames turn out to be larger, so
 * that few of them straddle two blocks and have to be moved. */
#define SMALLEST_BLOCK (64 * 1024)
#define LARGEST_BLOCK  (512 * 1024)
/* With less room than this left a read would bring too little: take a new block. */
#define SMALLEST_SPACE 2048
#define COMMAND_AT     4
#define FLAGS_AT       5
#define CORRELATION_AT 6

static uint32_t read_length(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void write_length(uint8_t *at, uint32_t length) {
  at[0] = (uint8_t)length;
  at[1] = (uint8_t)(length >> 8);
  at[2] = (uint8_t)(length >> 16);
  at[3] = (uint8_t)(length >> 24);
}

/* ---- Reading ------------------------------------------------------------------------------ */

void pump_tcp_reader_init(pump_tcp_reader *reader, size_t max_body) {
  *reader = (pump_tcp_reader){
      .max_body = max_body, .block_size = SMALLEST_BLOCK, .expected = SMALLEST_SPACE};
}

void pump_tcp_reader_free(pump_tcp_reader *reader) {
  for (int i = 0; i < PUMP_TCP_SPARE_BLOCKS; i++) {
    pump_block_unref(reader->spares[i]);
    reader->spares[i] = NULL;
  }
  pump_block_unref(reader->block);
  reader->block = NULL;
}

/* A block that was used before and that no page looks into any more, or a new one. The current
 * one takes its place among the spares, as long as it is of a common size. */
static pump_block *change_block(pump_tcp_reader *reader, size_t capacity) {
  int place = -1;
  for (int i = 0; i < PUMP_TCP_SPARE_BLOCKS; i++) {
    pump_block *spare = reader->spares[i];
    if (!spare || spare->references == 1) place = i;
    if (spare && spare->references == 1 && spare->capacity >= capacity) break;
  }
  pump_block *fresh = place >= 0 ? reader->spares[place] : NULL;
  if (fresh && fresh->capacity < capacity) {
    pump_block_unref(fresh);
    reader->spares[place] = fresh = NULL;
  }
  if (!fresh) fresh = pump_block_new(capacity);
  if (!fresh) return NULL;
  if (place >= 0) reader->spares[place] = NULL;
  if (place >= 0 && reader->block && reader->block->capacity <= LARGEST_BLOCK)
    reader->spares[place] = pump_block_ref(reader->block);
  return fresh;
}

/* How much the block must hold from `start` on: a frame like the last one, so that the next page
 * need not be moved; or the unfinished frame, as far as it is known. A
 * length that is out of bounds asks for nothing; next() has refused it or will. */
static size_t wanted(const pump_tcp_reader *reader) {
  size_t have = reader->end - reader->start;
  if (have == 0) return reader->expected;
  if (have >= PUMP_TCP_LENGTH_SIZE) {
    size_t length = read_length(reader->block->data + reader->start);
    if (length <= reader->max_body && length + PUMP_TCP_LENGTH_SIZE > have)
      return length + PUMP_TCP_LENGTH_SIZE;
  }
  return have + SMALLEST_SPACE;
}

/* Where the last frame ends that has room in the block, if those to come are like the one under way
 * or, before that, the last one: what is read beyond it would have to be moved. */
static size_t end_of_frames(const pump_tcp_reader *reader) {
  size_t room = reader->block->capacity - reader->start;
  size_t frame = wanted(reader);
  return reader->start + (frame < room ? room / frame * frame : room);
}

int pump_tcp_reader_space(pump_tcp_reader *reader, uint8_t **to, size_t *size) {
  pump_block *block = reader->block;
  size_t have = reader->end - reader->start;
  bool reusable = block && block->references == 1 && block->capacity <= LARGEST_BLOCK;
  if (reusable && have == 0)
    reader->start = reader->end = 0; /* nobody looks at what was read: use it again */
  size_t want = block ? wanted(reader) : 0;
  if (!block || want > block->capacity - reader->start) {
    while (reader->block_size < want && reader->block_size < LARGEST_BLOCK)
      reader->block_size *= 2;
    pump_block *fresh = change_block(reader, want > reader->block_size ? want : reader->block_size);
    if (!fresh) return PUMP_ENOMEM;
    if (have > 0) memcpy(fresh->data, block->data + reader->start, have);
    pump_block_unref(block);
    reader->block = block = fresh;
    reader->start = 0;
    reader->end = have;
  }
  *to = block->data + reader->end;
  *size = end_of_frames(reader) - reader->end;
  return 0;
}

void pump_tcp_reader_filled(pump_tcp_reader *reader, size_t size) {
  reader->end += size;
}

size_t pump_tcp_reader_weight(const pump_tcp_reader *reader) {
  if (!reader->block) return 0;
  size_t want = reader->end > reader->start ? wanted(reader) : 0;
  size_t weight = want > reader->block->capacity ? want : reader->block->capacity;
  return weight > LARGEST_BLOCK ? weight : 0;
}

void pump_tcp_reader_rest(pump_tcp_reader *reader) {
  bool is_empty = reader->start == reader->end && reader->to_skip == 0;
  if (!is_empty || !reader->block || reader->block->capacity <= LARGEST_BLOCK) return;
  pump_block_unref(reader->block);
  reader->block = NULL;
  reader->start = reader->end = 0;
}

static int bad_length(pump_tcp_reader *reader, uint32_t length) {
  snprintf(reader->error, sizeof reader->error, "Package size is out of bounds: %d (max: %zu).",
           (int)length, reader->max_body);
  return PUMP_EPROTOCOL;
}

/* login and password stand behind the head, each with a length byte. */
static bool read_login(pump_tcp_frame *frame) {
  const char *at = frame->payload.data;
  size_t left = frame->payload.size;
  pump_bytes *fields[] = {&frame->login, &frame->password};
  for (int i = 0; i < 2; i++) {
    size_t size = left > 0 ? (uint8_t)*at : 0;
    if (left < 1 + size) return false;
    *fields[i] = (pump_bytes){at + 1, size};
    at += 1 + size;
    left -= 1 + size;
  }
  frame->payload = (pump_bytes){at, left};
  return true;
}

static void read_head(const uint8_t *at, pump_tcp_frame *frame) {
  *frame = (pump_tcp_frame){.command = at[COMMAND_AT], .flags = at[FLAGS_AT]};
  memcpy(frame->correlation.bytes, at + CORRELATION_AT, sizeof frame->correlation.bytes);
}

/* Throws away what has come of a frame that is too large. True: all of it. */
static bool skip(pump_tcp_reader *reader) {
  size_t have = reader->end - reader->start;
  size_t skipped = have < reader->to_skip ? have : reader->to_skip;
  reader->start += skipped;
  reader->to_skip -= skipped;
  return reader->to_skip == 0;
}

/* Servers limit what they take, and not the pages that they make of it. */
static bool may_be_large(uint8_t command) {
  return command >= PUMP_TCP_READ_STREAM_FORWARD_COMPLETED &&
         command <= PUMP_TCP_FILTERED_READ_ALL_BACKWARD_COMPLETED;
}

int pump_tcp_reader_next(pump_tcp_reader *reader, pump_tcp_frame *frame) {
  if (!skip(reader)) return 0;
  size_t have = reader->end - reader->start;
  if (have < PUMP_TCP_LENGTH_SIZE) return 0;
  const uint8_t *at = reader->block->data + reader->start;
  uint32_t length = read_length(at);
  if (length > reader->max_body && length <= INT32_MAX && reader->skips_large) {
    if (have < PUMP_TCP_HEAD_SIZE) return 0;
    if (!may_be_large(at[COMMAND_AT])) return bad_length(reader, length);
    read_head(at, frame);
    reader->start += PUMP_TCP_HEAD_SIZE;
    reader->to_skip = length - PUMP_TCP_MIN_BODY;
    return PUMP_ETOOLARGE;
  }
  if (length > reader->max_body || length == 0) return bad_length(reader, length);
  if (length < PUMP_TCP_MIN_BODY) {
    snprintf(reader->error, sizeof reader->error, "Package is too short: %u bytes (min: %d).",
             length, PUMP_TCP_MIN_BODY);
    return PUMP_EPROTOCOL;
  }
  if (have - PUMP_TCP_LENGTH_SIZE < length) return 0;
  size_t size = PUMP_TCP_LENGTH_SIZE + length;
  reader->start += size;
  reader->expected = size < SMALLEST_SPACE  ? SMALLEST_SPACE
                     : size < LARGEST_BLOCK ? size
                                            : LARGEST_BLOCK;
  read_head(at, frame);
  frame->payload = (pump_bytes){(const char *)at + PUMP_TCP_HEAD_SIZE, length - PUMP_TCP_MIN_BODY};
  if (frame->flags & PUMP_TCP_FLAG_AUTHENTICATED && !read_login(frame)) {
    snprintf(reader->error, sizeof reader->error, "Login length is too big for the package.");
    return PUMP_EINVALID;
  }
  return 1;
}

size_t pump_tcp_frame_size(const uint8_t *at) {
  return PUMP_TCP_LENGTH_SIZE + (size_t)read_length(at);
}

void pump_tcp_frame_at(const uint8_t *at, pump_tcp_frame *frame) {
  read_head(at, frame);
  frame->payload = (pump_bytes){(const char *)at + PUMP_TCP_HEAD_SIZE,
                                pump_tcp_frame_size(at) - PUMP_TCP_HEAD_SIZE};
  if (frame->flags & PUMP_TCP_FLAG_AUTHENTICATED) read_login(frame);
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void put_login_part(pump_buffer *out, pump_bytes part) {
  pump_buffer_byte(out, (uint8_t)part.size);
  pump_buffer_append(out, part.data, part.size);
}

size_t pump_tcp_frame_begin(pump_buffer *out, uint8_t command,
                            const pump_tcp_correlation *correlation, pump_bytes login,
                            pump_bytes password) {
  size_t mark = out->size;
  uint8_t head[PUMP_TCP_HEAD_SIZE] = {0};
  head[COMMAND_AT] = command;
  head[FLAGS_AT] = login.data ? PUMP_TCP_FLAG_AUTHENTICATED : 0;
  memcpy(head + CORRELATION_AT, correlation->bytes, sizeof correlation->bytes);
  pump_buffer_append(out, head, sizeof head);
  if (login.data) {
    put_login_part(out, login);
    put_login_part(out, password);
  }
  return mark;
}

int pump_tcp_frame_end(pump_buffer *out, size_t mark) {
  size_t length = out->size - mark - PUMP_TCP_LENGTH_SIZE;
  if (out->failed || length > PUMP_MAX_FRAME) {
    int code = out->failed ? PUMP_ENOMEM : PUMP_ETOOLARGE;
    pump_buffer_truncate(out, mark);
    return code;
  }
  write_length(out->data + mark, (uint32_t)length);
  return 0;
}

int pump_tcp_frame_write(pump_buffer *out, uint8_t command, const pump_tcp_correlation *correlation,
                         pump_bytes login, pump_bytes password, pump_bytes body) {
  size_t mark = pump_tcp_frame_begin(out, command, correlation, login, password);
  pump_buffer_append(out, body.data, body.size);
  return pump_tcp_frame_end(out, mark);
}

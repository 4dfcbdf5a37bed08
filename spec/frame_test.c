/* Frames: whatever way the bytes are split, the same frames come out, and nothing else. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/tcp/frame.h"

/* ---- Random frames ------------------------------------------------------------------------ */

static uint64_t seed;

static uint32_t random_below(uint32_t limit) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(seed >> 33) % limit;
}

static pump_bytes random_bytes(size_t size) {
  static char room[300000];
  static size_t used;
  if (used + size > sizeof room) used = 0;
  char *data = room + used;
  used += size;
  for (size_t i = 0; i < size; i++)
    data[i] = (char)random_below(256);
  return (pump_bytes){data, size};
}

/* Mostly small, at times larger than the reader's block. */
static size_t random_size(void) {
  switch (random_below(10)) {
  case 0: return 0;
  case 1: return random_below(100000);
  case 2: return random_below(5000);
  default: return random_below(60);
  }
}

#define FRAMES 40
typedef struct stream {
  pump_tcp_frame frames[FRAMES]; /* views into bodies[] */
  pump_buffer bodies[FRAMES];
  pump_buffer bytes;
} stream;

/* Appends one frame to the bytes, and what must come out to the frames. */
static bool add_frame(stream *made, int i) {
  pump_tcp_frame *frame = &made->frames[i];
  pump_buffer *body = &made->bodies[i];
  *frame = (pump_tcp_frame){.command = (uint8_t)random_below(256)};
  memcpy(frame->correlation.bytes, random_bytes(16).data, 16);
  size_t login = random_below(PUMP_TCP_MAX_LOGIN + 1), password = random_below(256);
  size_t payload = random_size();
  pump_buffer_append(body, random_bytes(login).data, login);
  pump_buffer_append(body, random_bytes(password).data, password);
  pump_buffer_append(body, random_bytes(payload).data, payload);
  const char *data = body->data ? (const char *)body->data : "";
  if (random_below(3) == 0) {
    frame->flags = PUMP_TCP_FLAG_AUTHENTICATED;
    frame->login = (pump_bytes){data, login};
    frame->password = (pump_bytes){data + login, password};
  }
  frame->payload = (pump_bytes){data + login + password, payload};
  return pump_tcp_frame_write(&made->bytes, frame->command, &frame->correlation, frame->login,
                              frame->password, frame->payload) == 0;
}

static bool same_frame(const pump_tcp_frame *a, const pump_tcp_frame *b) {
  return a->command == b->command && a->flags == b->flags &&
         memcmp(a->correlation.bytes, b->correlation.bytes, 16) == 0 &&
         pump_bytes_equal(a->login, b->login) && pump_bytes_equal(a->password, b->password) &&
         pump_bytes_equal(a->payload, b->payload);
}

static void stream_free(stream *made) {
  for (int i = 0; i < FRAMES; i++)
    pump_buffer_free(&made->bodies[i]);
  pump_buffer_free(&made->bytes);
}

/* ---- Feeding a reader --------------------------------------------------------------------- */

/* Gives the reader up to that many bytes, as many as it has room for. */
static size_t feed(pump_tcp_reader *reader, const uint8_t *bytes, size_t size) {
  uint8_t *to;
  size_t room;
  if (pump_tcp_reader_space(reader, &to, &room) != 0 || room == 0) return 0;
  if (size > room) size = room;
  memcpy(to, bytes, size);
  pump_tcp_reader_filled(reader, size);
  return size;
}

/* Reads the whole stream in pieces of at most so many bytes (0: of random sizes). A reference to
 * the block is kept over some frames, as a page would, and what it holds must not change. */
static bool read_stream(const stream *made, size_t piece) {
  pump_tcp_reader reader;
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  pump_tcp_frame frame, kept = {0};
  pump_block *block = NULL;
  size_t at = 0;
  int got = 0, code = 0, kept_from = 0;
  while (code >= 0 && at < made->bytes.size) {
    size_t size = piece ? piece : 1 + random_size();
    if (size > made->bytes.size - at) size = made->bytes.size - at;
    size = feed(&reader, made->bytes.data + at, size);
    if (size == 0) break;
    at += size;
    while ((code = pump_tcp_reader_next(&reader, &frame)) == 1) {
      if (got == FRAMES || !same_frame(&frame, &made->frames[got])) code = -1;
      if (code < 0) break;
      if (block && !same_frame(&kept, &made->frames[kept_from])) code = -1;
      if (random_below(4) == 0) {
        pump_block_unref(block);
        block = pump_block_ref(reader.block);
        kept = frame;
        kept_from = got;
      }
      got++;
    }
  }
  pump_block_unref(block);
  pump_tcp_reader_free(&reader);
  return code == 0 && got == FRAMES && at == made->bytes.size;
}

static void any_split_gives_the_same_frames(void) {
  static const size_t pieces[] = {1, 2, 3, 4, 5, 17, 21, 22, 23, 64, 1000, 65536, 1 << 20, 0, 0, 0};
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    bool held = true;
    int round = 0;
    for (; held && round < 10; round++) {
      seed = 1000 * i + (size_t)round;
      stream made = {0};
      for (int j = 0; held && j < FRAMES; j++)
        held = add_frame(&made, j);
      held = held && read_stream(&made, pieces[i]);
      stream_free(&made);
    }
    tap_ok(held, "frames in pieces of %zu bytes (0: any) come out whole; round %d", pieces[i],
           round);
  }
}

/* ---- Frames that are odd or broken -------------------------------------------------------- */

static bool skips_large; /* the reader whose verdict is asked for */

/* What next() says to these bytes, and the error it leaves. */
static int verdict(const void *bytes, size_t size, size_t max_body, char *error,
                   pump_tcp_frame *frame) {
  pump_tcp_reader reader;
  pump_tcp_reader_init(&reader, max_body);
  reader.skips_large = skips_large;
  size_t fed = feed(&reader, bytes, size);
  int code = fed == size ? pump_tcp_reader_next(&reader, frame) : PUMP_ENOMEM;
  if (code == PUMP_EPROTOCOL && pump_tcp_reader_next(&reader, frame) != PUMP_EPROTOCOL) code = -99;
  strcpy(error, reader.error);
  pump_tcp_reader_free(&reader);
  return code;
}

static void a_length_out_of_bounds_breaks_the_connection(void) {
  char error[128];
  pump_tcp_frame frame;
  const struct {
    const char *bytes;
    int code;
    const char *says;
  } cases[] = {
      {"\0\0\0\0", PUMP_EPROTOCOL, "Package size is out of bounds: 0 (max: 67108864)."},
      {"\x11\0\0\0", PUMP_EPROTOCOL, "Package is too short: 17 bytes (min: 18)."},
      {"\x12\0\0\0", 0, ""},
      {"\0\0\0\x04", 0, ""}, /* 64 MiB to the byte */
      {"\x01\0\0\x04", PUMP_EPROTOCOL, "Package size is out of bounds: 67108865 (max: 67108864)."},
      {"\xff\xff\xff\xff", PUMP_EPROTOCOL, "Package size is out of bounds: -1 (max: 67108864)."},
      {"\0\0\0\x80", PUMP_EPROTOCOL, "Package size is out of bounds: -2147483648 (max: 67108864)."},
      {"HTTP", PUMP_EPROTOCOL, "Package size is out of bounds: 1347703880 (max: 67108864)."},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int code = verdict(cases[i].bytes, 4, PUMP_MAX_FRAME, error, &frame);
    tap_ok(code == cases[i].code && strcmp(error, cases[i].says) == 0,
           "a length by itself, case %zu: %d \"%s\"", i, code, error);
  }
  tap_ok(verdict("\xe8\x03\0\0", 4, 1000, error, &frame) == 0, "a lower limit lets its size pass");
  tap_ok(verdict("\xe9\x03\0\0", 4, 1000, error, &frame) == PUMP_EPROTOCOL,
         "a lower limit is held to");
}

/* A bad length is known from its four bytes, so no block is ever made for it. */
static void a_bad_length_is_judged_before_memory_is_taken(void) {
  pump_tcp_reader reader;
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  pump_tcp_frame frame;
  feed(&reader, (const uint8_t *)"\xff\xff\xff\x7f", 4);
  int code = pump_tcp_reader_next(&reader, &frame);
  uint8_t *to;
  size_t room = 0;
  int more = pump_tcp_reader_space(&reader, &to, &room);
  tap_ok(code == PUMP_EPROTOCOL && more == 0 && reader.block->capacity <= 1 << 20,
         "2 GiB announced: refused, and the block has %zu bytes", reader.block->capacity);
  pump_tcp_reader_free(&reader);
}

/* A frame of that command, flags and payload, from a correlation id of 0x11…. */
static size_t raw_frame(uint8_t *to, uint8_t command, uint8_t flags, const void *rest,
                        size_t size) {
  memset(to, 0x11, PUMP_TCP_HEAD_SIZE);
  to[0] = (uint8_t)(PUMP_TCP_MIN_BODY + size);
  to[1] = to[2] = to[3] = 0;
  to[4] = command;
  to[5] = flags;
  memcpy(to + PUMP_TCP_HEAD_SIZE, rest, size);
  return PUMP_TCP_HEAD_SIZE + size;
}

static void a_login_that_does_not_fit_is_skipped(void) {
  static const struct {
    const char *rest;
    size_t size;
  } cases[] = {{"", 0}, {"\5admi", 5}, {"\5admin", 6}, {"\1a\4pas", 6}, {"\xff", 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t bytes[200];
    size_t size = raw_frame(bytes, 0x82, 1, cases[i].rest, cases[i].size);
    size += raw_frame(bytes + size, 0x03, 0, "next", 4);
    pump_tcp_reader reader;
    pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
    pump_tcp_frame odd, next;
    feed(&reader, bytes, size);
    int code = pump_tcp_reader_next(&reader, &odd);
    tap_ok(code == PUMP_EINVALID && odd.command == 0x82 && odd.correlation.bytes[15] == 0x11 &&
               reader.error[0] != '\0' && pump_tcp_reader_next(&reader, &next) == 1 &&
               next.command == 0x03 && pump_bytes_is(next.payload, "next"),
           "a login cut short, case %zu: named, skipped, and the next frame is read", i);
    pump_tcp_reader_free(&reader);
  }
}

static void unknown_commands_and_flags_pass(void) {
  uint8_t bytes[200];
  char error[128];
  pump_tcp_frame frame;
  size_t size = raw_frame(bytes, 0xee, 0xfe, "body", 4);
  tap_ok(verdict(bytes, size, PUMP_MAX_FRAME, error, &frame) == 1 && frame.command == 0xee &&
             frame.flags == 0xfe && frame.login.data == NULL,
         "a command and flags that nobody knows are a frame like any other");
}

/* Where it is allowed, a frame over the limit is told of once and thrown away, however it comes. */
static void a_large_frame_is_skipped(void) {
  bool sound = true;
  for (size_t step = 1; step < 400 && sound; step += step < 40 ? 1 : 60) {
    pump_tcp_correlation large_id = {{1}}, small_id = {{2}};
    pump_bytes none = {0}, body = random_bytes(300), small = random_bytes(20);
    pump_buffer bytes;
    pump_buffer_init(&bytes);
    pump_tcp_frame_write(&bytes, 0xb3, &large_id, none, none, body);
    pump_tcp_frame_write(&bytes, 0x04, &small_id, none, none, small);
    pump_tcp_reader reader;
    pump_tcp_reader_init(&reader, 100);
    reader.skips_large = true;
    pump_tcp_frame frame;
    int large = 0, whole = 0, code;
    for (size_t at = 0; at < bytes.size; at += step) {
      feed(&reader, bytes.data + at, bytes.size - at < step ? bytes.size - at : step);
      while ((code = pump_tcp_reader_next(&reader, &frame)) != 0 && code != PUMP_EPROTOCOL) {
        large += code == PUMP_ETOOLARGE && frame.command == 0xb3 &&
                 frame.correlation.bytes[0] == 1 && frame.payload.size == 0;
        whole += code == 1 && frame.command == 0x04 && frame.correlation.bytes[0] == 2 &&
                 pump_bytes_equal(frame.payload, small);
      }
    }
    sound = large == 1 && whole == 1;
    pump_tcp_reader_free(&reader);
    pump_buffer_free(&bytes);
  }
  tap_ok(sound, "a frame over the limit is skipped, and the one behind it is whole");
}

/* Nothing but a page is that large: the length is wrong, and what follows is not skipped. */
static void a_length_that_nobody_sends(void) {
  static const uint8_t commands[] = {0x01, 0x04, 0x83, 0xb1, 0xb2, 0xbf, 0xc2, 0xc7, 0xf0};
  static const uint8_t pages[] = {0xb3, 0xb5, 0xb7, 0xb9, 0xbb, 0xbe};
  uint8_t bytes[PUMP_TCP_HEAD_SIZE] = {0, 0, 0, 0x7f};
  char error[128];
  pump_tcp_frame frame;
  bool sound = true;
  skips_large = true;
  tap_ok(verdict(bytes, 5, PUMP_MAX_FRAME, error, &frame) == 0,
         "a length over the limit is judged with its command");
  for (size_t i = 0; i < sizeof commands; i++) {
    bytes[4] = commands[i];
    sound = sound &&
            verdict(bytes, sizeof bytes, PUMP_MAX_FRAME, error, &frame) == PUMP_EPROTOCOL &&
            strstr(error, "out of bounds");
  }
  for (size_t i = 0; i < sizeof pages; i++) {
    bytes[4] = pages[i];
    sound = sound && verdict(bytes, sizeof bytes, PUMP_MAX_FRAME, error, &frame) == PUMP_ETOOLARGE;
  }
  skips_large = false;
  tap_ok(sound, "a page may be that large, nothing else");
}

static void random_bytes_never_hurt(void) {
  bool sound = true;
  for (seed = 0; seed < 3000 && sound;) {
    uint64_t round = seed;
    pump_tcp_reader reader;
    pump_tcp_reader_init(&reader, 5000);
    pump_tcp_frame frame;
    int code = 0;
    for (int i = 0; i < 20 && code != PUMP_EPROTOCOL; i++) {
      pump_bytes bytes = random_bytes(1 + random_size() % 3000);
      uint8_t small[4] = {(uint8_t)random_below(256), (uint8_t)random_below(8), 0, 0};
      feed(&reader, small, random_below(5));
      feed(&reader, (const uint8_t *)bytes.data, bytes.size);
      while ((code = pump_tcp_reader_next(&reader, &frame)) == 1 || code == PUMP_EINVALID)
        sound = sound && frame.payload.size <= 5000;
    }
    sound = sound && (code == 0 || code == PUMP_EPROTOCOL);
    pump_tcp_reader_free(&reader);
    seed = round + 1;
  }
  tap_ok(sound, "3000 streams of noise: frames within their bounds, or a clear refusal");
}

static void a_frame_too_large_is_not_written(void) {
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_correlation id = {{7}};
  pump_buffer_text(&out, "before");
  char *body = calloc(1, PUMP_MAX_FRAME);
  pump_bytes fits = {body, PUMP_MAX_FRAME - PUMP_TCP_MIN_BODY};
  pump_bytes over = {body, fits.size + 1};
  pump_bytes none = {0};
  int code = pump_tcp_frame_write(&out, 3, &id, none, none, over);
  tap_ok(code == PUMP_ETOOLARGE && out.size == 6 && memcmp(out.data, "before", 6) == 0,
         "a body over 64 MiB is refused and leaves the buffer as it was");
  code = pump_tcp_frame_write(&out, 3, &id, none, none, fits);
  tap_ok(code == 0 && out.size == 6 + 4 + PUMP_MAX_FRAME, "one of 64 MiB is written");
  free(body);
  pump_buffer_free(&out);
}

static void a_large_frame_has_weight(void) {
  enum { SIZE = 2 << 20 };
  pump_tcp_reader reader;
  pump_tcp_frame frame;
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  char *body = calloc(1, SIZE);
  pump_tcp_frame_write(&out, 3, &(pump_tcp_correlation){{7}}, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){body, 100});
  feed(&reader, out.data, out.size);
  size_t small = pump_tcp_reader_weight(&reader);
  pump_tcp_reader_next(&reader, &frame);
  pump_buffer_clear(&out);
  pump_tcp_frame_write(&out, 3, &(pump_tcp_correlation){{7}}, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){body, SIZE});
  feed(&reader, out.data, 10);
  size_t expected = pump_tcp_reader_weight(&reader), had = reader.block->capacity;
  tap_ok(small == 0 && expected == 4 + 18 + SIZE && had < SIZE,
         "what a frame will take is known before there is room for it (%zu)", expected);
  pump_tcp_reader_rest(&reader);
  for (size_t at = 10, taken; at < out.size; at += taken)
    taken = feed(&reader, out.data + at, out.size - at);
  int code = pump_tcp_reader_next(&reader, &frame);
  tap_ok(code == 1 && frame.payload.size == SIZE && pump_tcp_reader_weight(&reader) > SIZE,
         "resting halfway loses nothing");
  pump_tcp_reader_rest(&reader);
  tap_ok(!reader.block && pump_tcp_reader_weight(&reader) == 0,
         "at its end the room is given back");
  feed(&reader, out.data, 10);
  tap_ok(pump_tcp_reader_next(&reader, &frame) == 0 && reader.end == 10, "and taken anew");
  free(body);
  pump_buffer_free(&out);
  pump_tcp_reader_free(&reader);
}

/* Pages that come one behind the other are read where they stay: what lies behind the last one that
 * has room in a block would be moved to the next. */
static void pages_stay_where_they_were_read(void) {
  enum { PAGES = 60, SIZE = 168000 };
  pump_tcp_reader reader;
  pump_tcp_frame frame;
  pump_buffer out;
  pump_buffer_init(&out);
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  char *body = calloc(1, SIZE + PAGES);
  for (size_t i = 0; i < PAGES; i++)
    pump_tcp_frame_write(&out, 0xb3, &(pump_tcp_correlation){{7}}, (pump_bytes){0}, (pump_bytes){0},
                         (pump_bytes){body, SIZE + i * 37 % PAGES});
  size_t moved = 0, reads = 0, got = 0;
  for (size_t at = 0, taken = 1; at < out.size && taken > 0; at += taken, reads++) {
    const pump_block *before = reader.block;
    size_t have = reader.end - reader.start;
    taken = feed(&reader, out.data + at, out.size - at);
    if (reader.block != before) moved += have;
    while (pump_tcp_reader_next(&reader, &frame) == 1)
      got++;
  }
  tap_ok(got == PAGES && moved < out.size / 50 && reads < 3 * PAGES,
         "%zu pages of %zu bytes: %zu moved, %zu reads", got, out.size, moved, reads);
  free(body);
  pump_buffer_free(&out);
  pump_tcp_reader_free(&reader);
}

int main(void) {
  any_split_gives_the_same_frames();
  a_length_out_of_bounds_breaks_the_connection();
  a_bad_length_is_judged_before_memory_is_taken();
  a_login_that_does_not_fit_is_skipped();
  unknown_commands_and_flags_pass();
  a_large_frame_is_skipped();
  a_length_that_nobody_sends();
  random_bytes_never_hurt();
  a_frame_too_large_is_not_written();
  a_large_frame_has_weight();
  pages_stay_where_they_were_read();
  return tap_done();
}

/* What the benchmark's programs send each other, written before the clock starts.
 *
 * Streams are called "bench-LENGTH[-N]". Their events before FIRST_NUMBER count as scavenged: a
 * read from 0 finds the first at FIRST_NUMBER. So every number has the same size on the wire and
 * a canned page becomes any other by patching some bytes. $all works alike. */
#ifndef PUMP_BENCH_CANNED_H
#define PUMP_BENCH_CANNED_H

#include <pump.h>
#include "base/buffer.h"
#include "wire/tcp/frame.h"

#define CANNED_PAGE 500
/* As protobuf varints: four bytes from the first to the last number, six for positions. */
#define FIRST_NUMBER   (INT64_C(1) << 21)
#define FIRST_POSITION (INT64_C(1) << 35)
#define POSITION_STEP  512

/* An event: 256 bytes of JSON, an object of six fields. */
extern const char canned_body[256 + 1];
extern const pump_bytes canned_type;

/* Events of a stream of this name; 0 when the name says nothing of it. */
int64_t canned_length(pump_bytes stream);

/* A page of a stream or of $all as a frame, complete but for its correlation id. */
typedef struct canned_page {
  pump_buffer frame;
  size_t count;
  bool is_all;
  size_t *numbers;   /* where in the frame the events' numbers are */
  size_t *positions; /* $all: where each commit position is; prepare is PREPARE_BEHIND it */
  size_t next, last, is_end;
} canned_page;

/* Ends the program when there is no memory. */
void canned_page_init(canned_page *page, pump_bytes stream, size_t count, bool is_all);
/* Turns it into the answer to this frame, for a read from `from` (a number or a position). */
void canned_page_turn(canned_page *page, const pump_tcp_correlation *correlation, int64_t from,
                      int64_t length);

/* Requests as frames. The reads' `from` is at the same offset in each: patch it there. */
size_t canned_read(pump_buffer *out, pump_bytes stream, int32_t count, bool is_all);
void canned_write(pump_buffer *out, pump_bytes stream, size_t count);

void canned_patch_number(uint8_t *at, int64_t number);
void canned_patch_position(uint8_t *at, int64_t position);

#endif

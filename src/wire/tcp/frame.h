/* Frames: a length, a command, flags, a correlation id, perhaps a login, a body.
 *
 * The reader owns the block that the socket reads into: ask it for space, read there, say how
 * much came, and take out frames until there is none. A frame is a view into that block. It holds
 * until the next call of pump_tcp_reader_space; whoever wants its bytes longer takes a reference
 * to reader->block (pages do). */
#ifndef PUMP_WIRE_TCP_FRAME_H
#define PUMP_WIRE_TCP_FRAME_H

#include <pump.h>
#include "base/block.h"
#include "base/buffer.h"

enum {
  PUMP_TCP_FLAG_AUTHENTICATED = 0x01,
  PUMP_TCP_FLAG_TRUSTED = 0x02,
  PUMP_TCP_LENGTH_SIZE = 4,
  PUMP_TCP_HEAD_SIZE = 22, /* length, command, flags, correlation id */
  PUMP_TCP_MIN_BODY = 18,  /* what the length counts at least */
  PUMP_TCP_MAX_LOGIN = 255,
  PUMP_TCP_SPARE_BLOCKS = 16
};

/* Sixteen bytes that come back as they were sent; on the wire and here in the same order. */
typedef struct pump_tcp_correlation {
  uint8_t bytes[16];
} pump_tcp_correlation;

typedef struct pump_tcp_frame {
  uint8_t command;
  uint8_t flags;
  pump_tcp_correlation correlation;
  pump_bytes login; /* where flags say Authenticated */
  pump_bytes password;
  pump_bytes payload;
} pump_tcp_frame;

typedef struct pump_tcp_reader {
  pump_block *block;
  /* Those before, to be used again: fresh memory is dear. As many as Lua's collector leaves in
   * use. */
  pump_block *spares[PUMP_TCP_SPARE_BLOCKS];
  size_t start; /* first byte that belongs to no frame taken out yet */
  size_t end;   /* behind the last byte that came */
  size_t max_body;
  size_t block_size; /* of the next block */
  size_t expected;   /* what the next frame may take */
  bool skips_large;  /* a page over max_body is skipped as it comes, instead of being the end */
  size_t to_skip;    /* what is still to come of that */
  char error[128];   /* why next() said PUMP_EPROTOCOL, in the server's words */
} pump_tcp_reader;

/* max_body: what the length may say at most, PUMP_MAX_FRAME for everybody. */
void pump_tcp_reader_init(pump_tcp_reader *reader, size_t max_body);
void pump_tcp_reader_free(pump_tcp_reader *reader);
/* Where to read to, never an empty space. Moves an unfinished frame into a new block where the
 * old one is full or has views into it. PUMP_ENOMEM. */
int pump_tcp_reader_space(pump_tcp_reader *reader, uint8_t **to, size_t *size);
void pump_tcp_reader_filled(pump_tcp_reader *reader, size_t size);
/* What it takes, or will for the frame that it is in the middle of, where that is more than is
 * common; else 0. */
size_t pump_tcp_reader_weight(const pump_tcp_reader *reader);
/* Gives back a large block that holds nothing more. */
void pump_tcp_reader_rest(pump_tcp_reader *reader);
/* 1: a frame. 0: more bytes are needed. PUMP_EPROTOCOL: the framing is broken, the connection is of
 * no more use. PUMP_EINVALID: this one frame is odd (its login does not fit into it); it was
 * skipped, and frame holds what could be read of it. PUMP_ETOOLARGE, where skips_large allows it:
 * frame has no payload, its bytes are being thrown away as they come. A length is judged as soon as
 * its four bytes are there and before anything is allocated for it. */
int pump_tcp_reader_next(pump_tcp_reader *reader, pump_tcp_frame *frame);

/* What stands at a place where a frame was written. */
size_t pump_tcp_frame_size(const uint8_t *at);
void pump_tcp_frame_at(const uint8_t *at, pump_tcp_frame *frame);

/* Writing a frame: begin, write the body behind it, end with the same mark. login.data NULL: no
 * login; the caller has checked that neither part is over PUMP_TCP_MAX_LOGIN bytes. PUMP_ETOOLARGE
 * for a body over 64 MiB, PUMP_ENOMEM; then the buffer is as it was before begin. */
size_t pump_tcp_frame_begin(pump_buffer *out, uint8_t command,
                            const pump_tcp_correlation *correlation, pump_bytes login,
                            pump_bytes password);
int pump_tcp_frame_end(pump_buffer *out, size_t mark);
/* Both with a body at hand. */
int pump_tcp_frame_write(pump_buffer *out, uint8_t command, const pump_tcp_correlation *correlation,
                         pump_bytes login, pump_bytes password, pump_bytes body);

#endif

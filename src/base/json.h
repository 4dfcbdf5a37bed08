/* JSON (RFC 8259, to the letter), one codec for C and Lua: a reader that goes over a complete text
 * token by token, and functions that write one.
 *
 * Exact: an integer that fits into 64 bits stays one. Integers beyond that, and -0, are floats, as
 * every other reader has them; a number too large for a double is an error, not infinity. Text is
 * valid UTF-8 in both directions, so half a surrogate pair and a stray byte are errors too. */
#ifndef PUMP_BASE_JSON_H
#define PUMP_BASE_JSON_H

#include "base/buffer.h"

/* How many arrays and objects may stand inside one another. */
#define PUMP_JSON_DEPTH 1000

typedef enum pump_json_token {
  PUMP_JSON_END = 0, /* the text was read, and it was one value */
  PUMP_JSON_NULL,
  PUMP_JSON_FALSE,
  PUMP_JSON_TRUE,
  PUMP_JSON_INTEGER,
  PUMP_JSON_FLOAT,
  PUMP_JSON_STRING,
  PUMP_JSON_KEY, /* in an object: its value is the next token */
  PUMP_JSON_ARRAY,
  PUMP_JSON_ARRAY_END,
  PUMP_JSON_OBJECT,
  PUMP_JSON_OBJECT_END
} pump_json_token;

typedef struct pump_json_reader {
  /* What pump_json_next found. */
  int64_t integer;
  double number;
  pump_bytes string; /* as it stands in the text, without its quotes */
  bool escaped;      /* string has escapes: see pump_json_string */
  size_t at;         /* the byte behind it; behind a key, behind its colon */
  /* What is wrong, once pump_json_next has failed: a few words, and the byte from 0. */
  const char *message;
  size_t offset;
  /* How many arrays and objects are open, and the text. */
  size_t depth;
  pump_bytes text;
  /* The reader's own. */
  int expected;
  uint8_t objects[(PUMP_JSON_DEPTH + 7) / 8]; /* a bit for each level: it is an object */
} pump_json_reader;

/* The text must outlive the reader, which owns nothing. */
void pump_json_reader_init(pump_json_reader *reader, pump_bytes text);
/* The next pump_json_token, or PUMP_EJSON now and for ever. */
int pump_json_next(pump_json_reader *reader);
/* Reads over the value that starts with this token, which pump_json_next has just returned (or
 * over the value of this key): 0 or PUMP_EJSON. */
int pump_json_skip(pump_json_reader *reader, int token);
/* Reads to the end of the text: 0 or PUMP_EJSON. */
int pump_json_check(pump_json_reader *reader);

/* The characters of the string or key just read: a view into the text where it has no escapes,
 * into scratch (which is cleared first) where it has. PUMP_ENOMEM. */
int pump_json_string(const pump_json_reader *reader, pump_buffer *scratch, pump_bytes *string);
/* The same for who has memory already: writes at most string.size bytes, returns how many. */
size_t pump_json_unescape(pump_bytes string, char *to);

/* Writers append to a buffer, which notes its own failures. Strings are quoted and escaped: where
 * they are no UTF-8 nothing is written and the answer is PUMP_EJSON. Floats that JSON does not
 * have (NaN, infinities) likewise. */
int pump_json_write_string(pump_buffer *to, pump_bytes string);
int pump_json_write_float(pump_buffer *to, double number);
void pump_json_write_integer(pump_buffer *to, int64_t number);

#endif

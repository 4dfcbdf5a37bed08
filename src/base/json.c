#include "base/json.h"

#include <math.h>
#include <string.h>
#include "base/number.h"

/* ---- Characters --------------------------------------------------------------------------- */

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* What can't stand for itself in a string. */
static const bool special[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x80 ... 0xff] = true};

/* What the letter behind a backslash means; \u is another matter. */
static const char meanings[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                   ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* Whether one of eight bytes may be other than plain; true too often is harmless. */
static bool may_be_special(uint64_t bytes) {
  uint64_t quotes = bytes ^ EACH_BYTE('"'), escapes = bytes ^ EACH_BYTE('\\');
  uint64_t found =
      (quotes - EACH_BYTE(1)) | (escapes - EACH_BYTE(1)) | (bytes - EACH_BYTE(0x20)) | bytes;
  return found & EACH_BYTE(0x80);
}

static bool continues(uint8_t byte) {
  return (byte & 0xc0) == 0x80;
}

/* The size of the character beyond ASCII that starts here, 0 if there is none in UTF-8. Overlong
 * forms, surrogates and what lies beyond U+10FFFF show in the second byte. */
static size_t utf8_size(const char *text, size_t left) {
  const uint8_t *at = (const uint8_t *)text;
  if (left >= 2 && at[0] >= 0xc2 && at[0] <= 0xdf && continues(at[1])) return 2;
  if (left >= 3 && at[0] >= 0xe0 && at[0] <= 0xef && continues(at[1]) && continues(at[2]))
    return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ? 0 : 3;
  if (left >= 4 && at[0] >= 0xf0 && at[0] <= 0xf4 && continues(at[1]) && continues(at[2]) &&
      continues(at[3]))
    return (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) ? 0 : 4;
  return 0;
}

/* Up to eight bytes, some perhaps twice where they are fewer. */
static uint64_t few_bytes(const char *text, size_t size) {
  uint64_t bytes = 0;
  uint32_t halves[2];
  if (size >= sizeof bytes) {
    memcpy(&bytes, text, sizeof bytes);
    return bytes;
  }
  memcpy(&halves[0], text, sizeof halves[0]);
  memcpy(&halves[1], text + size - sizeof halves[1], sizeof halves[1]);
  return (uint64_t)halves[0] << 32 | halves[1];
}

/* How many bytes from here stand for themselves in a JSON string: behind them is a quote, an
 * escape, a control character, a byte that is no UTF-8, or nothing. Both directions spend their
 * time here, so it takes eight bytes at once where it can. */
static size_t plain_size(const char *text, size_t left) {
  const uint8_t *at = (const uint8_t *)text;
  size_t size = 0;
  while (size < left) {
    uint64_t bytes;
    if (left - size >= sizeof bytes) {
      memcpy(&bytes, at + size, sizeof bytes);
      if (!may_be_special(bytes)) {
        size += sizeof bytes;
        continue;
      }
    } else if (left >= sizeof bytes / 2) { /* the end, with plain bytes before it that fill it up */
      size_t last = left < sizeof bytes ? left : sizeof bytes;
      if (!may_be_special(few_bytes(text + left - last, last))) return left;
    }
    size_t end = left - size < sizeof bytes ? left : size + sizeof bytes;
    while (size < end) {
      size_t character = !special[at[size]] ? 1 : utf8_size(text + size, left - size);
      if (character == 0) return size;
      size += character;
    }
  }
  return size;
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/* The four digits of \uXXXX, or -1. */
static int32_t hex_unit(const char *at, size_t left) {
  int32_t unit = 0;
  for (size_t i = 0; i < 4; i++) {
    int digit = i < left ? hex_value(at[i]) : -1;
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

/* ---- Reader ------------------------------------------------------------------------------- */

enum { EXPECT_VALUE, EXPECT_FIRST_ELEMENT, EXPECT_KEY, EXPECT_FIRST_KEY, EXPECT_SEPARATOR };

void pump_json_reader_init(pump_json_reader *reader, pump_bytes text) {
  *reader = (pump_json_reader){.text = text, .expected = EXPECT_VALUE};
}

static int fail_at(pump_json_reader *reader, size_t offset, const char *message) {
  reader->offset = offset;
  reader->message = message;
  return PUMP_EJSON;
}

static int fail(pump_json_reader *reader, const char *message) {
  return fail_at(reader, reader->at, message);
}

/* The byte that is to be read, '\0' at the end: no rule of JSON's lets a NUL pass, so whoever
 * finds one where the text goes on fails as with any other wrong byte. */
static char peek(const pump_json_reader *reader) {
  return reader->at < reader->text.size ? reader->text.data[reader->at] : '\0';
}

static char peek_token(pump_json_reader *reader) {
  const char *data = reader->text.data;
  size_t at = reader->at, size = reader->text.size;
  while (at < size && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t'))
    at++;
  reader->at = at;
  return peek(reader);
}

static bool in_object(const pump_json_reader *reader) {
  size_t level = reader->depth - 1;
  return reader->depth > 0 && (reader->objects[level / 8] >> level % 8 & 1);
}

static int open_level(pump_json_reader *reader, bool object) {
  if (reader->depth == PUMP_JSON_DEPTH) return fail(reader, "nested too deeply (1000 levels)");
  size_t level = reader->depth++;
  unsigned bit = 1u << level % 8;
  unsigned bits = reader->objects[level / 8] & ~bit;
  reader->objects[level / 8] = (uint8_t)(object ? bits | bit : bits);
  reader->at++;
  reader->expected = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_ELEMENT;
  return object ? PUMP_JSON_OBJECT : PUMP_JSON_ARRAY;
}

static int close_level(pump_json_reader *reader, int token) {
  reader->depth--;
  reader->at++;
  reader->expected = EXPECT_SEPARATOR;
  return token;
}

/* One escape, with reader->at on its backslash. */
static int read_escape(pump_json_reader *reader) {
  const char *data = reader->text.data;
  size_t at = reader->at, left = reader->text.size - at;
  char kind = left > 1 ? data[at + 1] : '\0';
  if (kind != 'u') {
    if (!meanings[(uint8_t)kind]) return fail(reader, "no such escape in a string");
    reader->at += 2;
    return 0;
  }
  int32_t unit = hex_unit(data + at + 2, left - 2);
  if (unit < 0) return fail(reader, "\\u needs four hexadecimal digits");
  reader->at += 6;
  if (unit < 0xd800 || unit > 0xdfff) return 0;
  int32_t low = -1;
  if (unit < 0xdc00 && left >= 12 && data[at + 6] == '\\' && data[at + 7] == 'u')
    low = hex_unit(data + at + 8, left - 8);
  if (low < 0xdc00 || low > 0xdfff)
    return fail_at(reader, at, "half of a surrogate pair in a string");
  reader->at += 6;
  return 0;
}

static int read_string(pump_json_reader *reader, int token) {
  const char *data = reader->text.data;
  size_t size = reader->text.size, start = ++reader->at;
  reader->escaped = false;
  for (;;) {
    reader->at += plain_size(data + reader->at, size - reader->at);
    if (reader->at == size) return fail_at(reader, start - 1, "a string without an end");
    uint8_t byte = (uint8_t)data[reader->at];
    if (byte == '"') break;
    if (byte != '\\')
      return fail(reader,
                  byte < 0x20 ? "a control character in a string" : "a string that is not UTF-8");
    reader->escaped = true;
    if (read_escape(reader) != 0) return PUMP_EJSON;
  }
  reader->string = (pump_bytes){data + start, reader->at - start};
  reader->at++;
  return token;
}

/* Reads over at least one digit. */
static bool skip_digits(pump_json_reader *reader) {
  size_t start = reader->at;
  while (is_digit(peek(reader)))
    reader->at++;
  return reader->at > start;
}

/* The digits as an integer; false if it does not fit, or would lose its sign. */
static bool to_integer(int64_t *integer, pump_bytes text) {
  bool negative = *text.data == '-';
  uint64_t limit = (uint64_t)INT64_MAX + negative, value = 0;
  for (size_t i = negative; i < text.size; i++) {
    unsigned digit = (unsigned)(text.data[i] - '0');
    if (value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (negative && value == 0) return false;
  *integer = (int64_t)(negative ? 0 - value : value);
  return true;
}

static int read_number(pump_json_reader *reader) {
  size_t start = reader->at;
  bool whole = true;
  reader->at += peek(reader) == '-';
  if (peek(reader) == '0') {
    reader->at++;
    if (is_digit(peek(reader))) return fail_at(reader, start, "a number with a leading zero");
  } else if (!skip_digits(reader)) {
    return fail(reader, "a number needs a digit here");
  }
  if (peek(reader) == '.') {
    whole = false;
    reader->at++;
    if (!skip_digits(reader)) return fail(reader, "a number needs a digit here");
  }
  if (peek(reader) == 'e' || peek(reader) == 'E') {
    whole = false;
    reader->at++;
    reader->at += peek(reader) == '+' || peek(reader) == '-';
    if (!skip_digits(reader)) return fail(reader, "a number needs a digit here");
  }
  pump_bytes text = {reader->text.data + start, reader->at - start};
  reader->expected = EXPECT_SEPARATOR;
  if (whole && to_integer(&reader->integer, text)) return PUMP_JSON_INTEGER;
  reader->number = pump_number_parse(text.data, text.size);
  return isfinite(reader->number) ? PUMP_JSON_FLOAT : fail_at(reader, start, "a number too large");
}

static int read_word(pump_json_reader *reader, const char *word, int token) {
  size_t size = strlen(word);
  if (reader->text.size - reader->at < size ||
      memcmp(reader->text.data + reader->at, word, size) != 0)
    return fail(reader, "a value is expected here");
  reader->at += size;
  reader->expected = EXPECT_SEPARATOR;
  return token;
}

static int read_value(pump_json_reader *reader, char first) {
  switch (first) {
  case '{': return open_level(reader, true);
  case '[': return open_level(reader, false);
  case '"': reader->expected = EXPECT_SEPARATOR; return read_string(reader, PUMP_JSON_STRING);
  case 't': return read_word(reader, "true", PUMP_JSON_TRUE);
  case 'f': return read_word(reader, "false", PUMP_JSON_FALSE);
  case 'n': return read_word(reader, "null", PUMP_JSON_NULL);
  default:
    if (first == '-' || is_digit(first)) return read_number(reader);
    if (reader->at == reader->text.size)
      return fail(reader, "the text ends where a value is expected");
    return fail(reader, "a value is expected here");
  }
}

static int read_key(pump_json_reader *reader, char first) {
  if (first != '"') return fail(reader, "a key in quotes is expected here");
  if (read_string(reader, PUMP_JSON_KEY) < 0) return PUMP_EJSON;
  if (peek_token(reader) != ':') return fail(reader, "':' is expected behind a key");
  reader->at++;
  reader->expected = EXPECT_VALUE;
  return PUMP_JSON_KEY;
}

static int read_separator(pump_json_reader *reader, char first) {
  bool object = in_object(reader);
  if (reader->depth == 0)
    return reader->at == reader->text.size ? PUMP_JSON_END
                                           : fail(reader, "something follows the value");
  if (first == ',') {
    reader->at++;
    first = peek_token(reader);
    return object ? read_key(reader, first) : read_value(reader, first);
  }
  if (first == (object ? '}' : ']'))
    return close_level(reader, object ? PUMP_JSON_OBJECT_END : PUMP_JSON_ARRAY_END);
  return fail(reader, object ? "',' or '}' is expected here" : "',' or ']' is expected here");
}

int pump_json_next(pump_json_reader *reader) {
  if (reader->message) return PUMP_EJSON;
  char first = peek_token(reader);
  switch (reader->expected) {
  case EXPECT_FIRST_ELEMENT:
    if (first == ']') return close_level(reader, PUMP_JSON_ARRAY_END);
    return read_value(reader, first);
  case EXPECT_FIRST_KEY:
    if (first == '}') return close_level(reader, PUMP_JSON_OBJECT_END);
    return read_key(reader, first);
  case EXPECT_SEPARATOR: return read_separator(reader, first);
  default: return read_value(reader, first);
  }
}

int pump_json_skip(pump_json_reader *reader, int token) {
  if (token == PUMP_JSON_KEY) token = pump_json_next(reader);
  if (token == PUMP_JSON_ARRAY || token == PUMP_JSON_OBJECT)
    for (size_t depth = reader->depth; token > 0 && reader->depth >= depth;)
      token = pump_json_next(reader);
  return token < 0 ? token : 0;
}

int pump_json_check(pump_json_reader *reader) {
  int token;
  do
    token = pump_json_next(reader);
  while (token > PUMP_JSON_END);
  return token < 0 ? PUMP_EJSON : 0;
}

/* ---- Strings without their escapes -------------------------------------------------------- */

static size_t put_utf8(char *to, int32_t code) {
  if (code < 0x80) {
    to[0] = (char)code;
    return 1;
  }
  size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const int32_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = size - 1; i > 0; i--, code >>= 6)
    to[i] = (char)(0x80 | (code & 0x3f));
  to[0] = (char)(leads[size] | code);
  return size;
}

/* \uXXXX, or a pair of them, from behind its u. */
static const char *unescape_unit(const char *at, char **to) {
  int32_t code = hex_unit(at, 4);
  at += 4;
  if (code >= 0xd800 && code <= 0xdbff) {
    code = 0x10000 + ((code - 0xd800) << 10) + (hex_unit(at + 2, 4) - 0xdc00);
    at += 6;
  }
  *to += put_utf8(*to, code);
  return at;
}

size_t pump_json_unescape(pump_bytes string, char *to) {
  const char *at = string.data, *end = string.data + string.size;
  char *start = to;
  while (at < end) {
    if (*at != '\\') {
      *to++ = *at++;
      continue;
    }
    char kind = at[1];
    at += 2;
    if (kind == 'u')
      at = unescape_unit(at, &to);
    else
      *to++ = meanings[(uint8_t)kind];
  }
  return (size_t)(to - start);
}

int pump_json_string(const pump_json_reader *reader, pump_buffer *scratch, pump_bytes *string) {
  *string = reader->string;
  if (!reader->escaped) return 0;
  pump_buffer_clear(scratch);
  char *to = (char *)pump_buffer_reserve(scratch, reader->string.size);
  if (!to) return PUMP_ENOMEM;
  pump_buffer_grew(scratch, pump_json_unescape(reader->string, to));
  *string = (pump_bytes){(const char *)scratch->data, scratch->size};
  return 0;
}

/* ---- Writer ------------------------------------------------------------------------------- */

#define LONGEST_ESCAPE 6

static size_t put_escape(char *to, uint8_t byte) {
  static const char letters[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu", digits[] = "0123456789abcdef";
  char letter = byte < 0x20 ? letters[byte] : (char)byte;
  to[0] = '\\';
  to[1] = letter;
  if (letter != 'u') return 2;
  to[2] = to[3] = '0';
  to[4] = digits[byte >> 4];
  to[5] = digits[byte & 15];
  return LONGEST_ESCAPE;
}

static int write_escaped(pump_buffer *to, pump_bytes string) {
  size_t before = to->size, at = 0;
  pump_buffer_byte(to, '"');
  for (;;) {
    size_t plain = plain_size(string.data + at, string.size - at);
    char *room = (char *)pump_buffer_reserve(to, plain + LONGEST_ESCAPE);
    if (!room) return 0;
    memcpy(room, string.data + at, plain);
    at += plain;
    if (at == string.size) {
      room[plain] = '"';
      pump_buffer_grew(to, plain + 1);
      return 0;
    }
    uint8_t byte = (uint8_t)string.data[at++];
    if (byte >= 0x80) {
      pump_buffer_truncate(to, before);
      return PUMP_EJSON;
    }
    pump_buffer_grew(to, plain + put_escape(room + plain, byte));
  }
}

int pump_json_write_string(pump_buffer *to, pump_bytes string) {
  size_t size = string.size;
  if (plain_size(string.data, size) < size) return write_escaped(to, string);
  char *room = (char *)pump_buffer_reserve(to, size + 2);
  if (!room) return 0;
  room[0] = '"';
  if (size > 0) memcpy(room + 1, string.data, size);
  room[size + 1] = '"';
  pump_buffer_grew(to, size + 2);
  return 0;
}

int pump_json_write_float(pump_buffer *to, double number) {
  if (!isfinite(number)) return PUMP_EJSON;
  char *text = (char *)pump_buffer_reserve(to, PUMP_NUMBER_TEXT);
  if (text) pump_buffer_grew(to, pump_number_format(text, number));
  return 0;
}

void pump_json_write_integer(pump_buffer *to, int64_t number) {
  char *text = (char *)pump_buffer_reserve(to, PUMP_NUMBER_TEXT);
  if (text) pump_buffer_grew(to, pump_number_format_integer(text, number));
}

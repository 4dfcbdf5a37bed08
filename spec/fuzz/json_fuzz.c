/* Fuzzer of JSON: a text that is read and written again is read as the same, and is written the
 * same the second time. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_token(pump_buffer *to, const pump_json_reader *reader, int token) {
  static const char *const words[] = {"", "null", "false", "true", "",  "",
                                      "", "",     "[",     "]",    "{", "}"};
  pump_buffer scratch = {0};
  pump_bytes string;
  switch (token) {
  case PUMP_JSON_INTEGER: pump_json_write_integer(to, reader->integer); break;
  case PUMP_JSON_FLOAT:
    if (pump_json_write_float(to, reader->number) != 0) abort();
    break;
  case PUMP_JSON_STRING:
  case PUMP_JSON_KEY:
    if (pump_json_string(reader, &scratch, &string) != 0) abort();
    if (string.size > reader->string.size) abort();
    if (pump_json_write_string(to, string) != 0) abort();
    if (token == PUMP_JSON_KEY) pump_buffer_byte(to, ':');
    break;
  default: pump_buffer_text(to, words[token]);
  }
  pump_buffer_free(&scratch);
}

/* Reads the text and writes it anew; 0 or PUMP_EJSON. */
static int copy(pump_buffer *to, pump_bytes text) {
  pump_json_reader reader;
  pump_json_reader_init(&reader, text);
  int token, last = PUMP_JSON_ARRAY;
  while ((token = pump_json_next(&reader)) > 0) {
    bool first = last == PUMP_JSON_ARRAY || last == PUMP_JSON_OBJECT || last == PUMP_JSON_KEY;
    bool end = token == PUMP_JSON_ARRAY_END || token == PUMP_JSON_OBJECT_END;
    if (!first && !end) pump_buffer_byte(to, ',');
    write_token(to, &reader, token);
    last = token;
  }
  if (token < 0 && (!reader.message || reader.offset > text.size)) abort();
  return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pump_buffer once = {0}, twice = {0};
  if (copy(&once, (pump_bytes){(const char *)data, size}) == 0) {
    if (copy(&twice, (pump_bytes){(const char *)once.data, once.size}) != 0) abort();
    if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0) abort();
  }
  pump_buffer_free(&once);
  pump_buffer_free(&twice);
  return 0;
}

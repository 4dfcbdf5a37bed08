#include "node/faults_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/json.h"
#include "node/faults.h"

#define MAX_SECONDS 1e9

static const char known[] =
    "not_handled, leader, delay, silent, duplicate, one_byte, cut, only, chance, count, refuse, "
    "gossip, duration";
static const char *const onlys[] = {NULL, "reads", "writes"};

typedef struct parser {
  pump_json_reader reader;
  pump_buffer scratch;
  pump_node_faults *faults;
  const char *wanted; /* what a value that is wrong should have been */
  int code;           /* what else went wrong */
} parser;

/* ---- Reading ------------------------------------------------------------------------------ */

static bool want(parser *at, bool is_right, const char *wanted) {
  if (!is_right) at->wanted = wanted;
  return is_right;
}

static void take_boolean(parser *at, int token, bool *to) {
  if (want(at, token == PUMP_JSON_TRUE || token == PUMP_JSON_FALSE, "true or false"))
    *to = token == PUMP_JSON_TRUE;
}

static bool take_whole(parser *at, int token, int64_t most, int64_t *to) {
  int64_t number = at->reader.integer;
  *to = number;
  return want(at, token == PUMP_JSON_INTEGER && number >= 0 && number <= most,
              "a whole number, 0 or more");
}

static double take_number(parser *at, int token, double most, const char *wanted) {
  double number = token == PUMP_JSON_INTEGER ? (double)at->reader.integer : at->reader.number;
  bool is_number = token == PUMP_JSON_INTEGER || token == PUMP_JSON_FLOAT;
  return want(at, is_number && number >= 0 && number <= most, wanted) ? number : 0;
}

static void take_seconds(parser *at, int token, uint64_t *milliseconds) {
  *milliseconds =
      (uint64_t)(take_number(at, token, MAX_SECONDS, "seconds, 0 or more") * 1000 + 0.5);
}

static bool read_string(parser *at, int token, pump_bytes *string) {
  if (token == PUMP_JSON_STRING) at->code = pump_json_string(&at->reader, &at->scratch, string);
  return token == PUMP_JSON_STRING && at->code == 0;
}

static void take_text(parser *at, int token, const char *wanted, const char **to) {
  pump_bytes string;
  bool is_text = read_string(at, token, &string) && !memchr(string.data, 0, string.size);
  if (!want(at, is_text, wanted)) return;
  free((char *)(uintptr_t)*to);
  *to = strndup(string.data, string.size);
  if (!*to) at->code = PUMP_ENOMEM;
}

static void take_code(parser *at, int token) {
  static const int codes[] = {PUMP_ENOTREADY, PUMP_EBUSY, PUMP_ENOTLEADER};
  pump_bytes string;
  if (read_string(at, token, &string))
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
      if (pump_bytes_is(string, pump_error_name(codes[i]))) {
        at->faults->not_handled = codes[i];
        return;
      }
  want(at, false, "\"not_ready\", \"too_busy\" or \"not_leader\"");
}

static void take_only(parser *at, int token) {
  pump_bytes string;
  if (read_string(at, token, &string))
    for (int i = PUMP_NODE_READS; i <= PUMP_NODE_WRITES; i++)
      if (pump_bytes_is(string, onlys[i])) {
        at->faults->only = i;
        return;
      }
  want(at, false, "\"reads\" or \"writes\"");
}

/* Text as it is to be sent, or an object: then as it stands here. */
static void take_gossip(parser *at, int token) {
  if (token != PUMP_JSON_OBJECT) {
    take_text(at, token, "an object or a text", &at->faults->gossip);
    return;
  }
  size_t start = at->reader.at - 1;
  if (pump_json_skip(&at->reader, token) != 0) return;
  free((char *)(uintptr_t)at->faults->gossip);
  at->faults->gossip = strndup(at->reader.text.data + start, at->reader.at - start);
  if (!at->faults->gossip) at->code = PUMP_ENOMEM;
}

static void take(parser *at, const char *name, int token) {
  pump_node_faults *faults = at->faults;
  int64_t number;
  if (token == PUMP_JSON_NULL) return;
  if (strcmp(name, "not_handled") == 0) {
    take_code(at, token);
  } else if (strcmp(name, "leader") == 0) {
    take_text(at, token, "\"HOST:PORT\"", &faults->leader);
  } else if (strcmp(name, "delay") == 0) {
    take_seconds(at, token, &faults->delay);
  } else if (strcmp(name, "silent") == 0) {
    take_boolean(at, token, &faults->silent);
  } else if (strcmp(name, "duplicate") == 0) {
    take_boolean(at, token, &faults->duplicate);
  } else if (strcmp(name, "one_byte") == 0) {
    take_boolean(at, token, &faults->one_byte);
  } else if (strcmp(name, "cut") == 0) {
    faults->cut = take_whole(at, token, PUMP_MAX_FRAME, &number);
    faults->cut_at = faults->cut ? (size_t)number : 0;
  } else if (strcmp(name, "only") == 0) {
    take_only(at, token);
  } else if (strcmp(name, "chance") == 0) {
    faults->chance = take_number(at, token, 1, "a number from 0 to 1");
  } else if (strcmp(name, "duration") == 0) {
    take_seconds(at, token, &faults->duration);
  } else if (strcmp(name, "count") == 0) {
    if (take_whole(at, token, INT32_MAX, &number)) faults->count = (unsigned)number;
  } else if (strcmp(name, "refuse") == 0) {
    take_boolean(at, token, &faults->refuse);
  } else if (strcmp(name, "gossip") == 0) {
    take_gossip(at, token);
  } else {
    at->wanted = "";
  }
}

static int parse(parser *at, char *error, size_t error_size) {
  int token = pump_json_next(&at->reader);
  if (token >= 0 && token != PUMP_JSON_OBJECT) {
    snprintf(error, error_size, "faults are an object, as {\"delay\": 0.5}");
    return PUMP_EINVALID;
  }
  while (token >= 0 && (token = pump_json_next(&at->reader)) == PUMP_JSON_KEY) {
    char name[32];
    pump_bytes key = at->reader.string;
    snprintf(name, sizeof name, "%.*s", (int)(key.size < 31 ? key.size : 31), key.data);
    token = pump_json_next(&at->reader);
    if (token < 0) break;
    take(at, name, token);
    if (at->code != 0) return at->code;
    if (!at->wanted) continue;
    if (*at->wanted)
      snprintf(error, error_size, "%s is %s", name, at->wanted);
    else
      snprintf(error, error_size, "there is no fault \"%s\"; known are %s", name, known);
    return PUMP_EINVALID;
  }
  if (token >= 0) token = pump_json_next(&at->reader);
  if (token == PUMP_JSON_END) return 0;
  snprintf(error, error_size, "that is not JSON: %s at byte %zu", at->reader.message,
           at->reader.offset);
  return PUMP_EJSON;
}

int pump_faults_parse(pump_node_faults *faults, pump_bytes json, char *error, size_t error_size) {
  parser at = {.faults = faults};
  *faults = (pump_node_faults){0};
  pump_json_reader_init(&at.reader, json);
  int code = parse(&at, error, error_size);
  pump_buffer_free(&at.scratch);
  if (code != 0) pump_faults_release(faults);
  return code;
}

/* ---- Writing ------------------------------------------------------------------------------ */

typedef struct writer {
  pump_buffer *out;
  bool has_any;
} writer;

static pump_buffer *put_name(writer *to, const char *name) {
  pump_buffer_printf(to->out, "%s\"%s\": ", to->has_any ? ", " : "", name);
  to->has_any = true;
  return to->out;
}

/* JSON has no words for what is no UTF-8. */
static void put_text(writer *to, const char *name, const char *text) {
  if (text && pump_json_write_string(put_name(to, name), pump_bytes_of(text)) != 0)
    pump_buffer_text(to->out, "null");
}

static void put_number(writer *to, const char *name, double number) {
  if (number > 0) pump_json_write_float(put_name(to, name), number);
}

static void put_flag(writer *to, const char *name, bool is_set) {
  if (is_set) pump_buffer_text(put_name(to, name), "true");
}

void pump_faults_write(pump_buffer *out, const pump_node_faults *faults) {
  writer to = {out, false};
  pump_buffer_byte(out, '{');
  if (faults->not_handled != 0) put_text(&to, "not_handled", pump_error_name(faults->not_handled));
  put_text(&to, "leader", faults->leader);
  put_number(&to, "delay", (double)faults->delay / 1000);
  put_flag(&to, "silent", faults->silent);
  put_flag(&to, "duplicate", faults->duplicate);
  put_flag(&to, "one_byte", faults->one_byte);
  if (faults->cut) pump_json_write_integer(put_name(&to, "cut"), (int64_t)faults->cut_at);
  put_text(&to, "only", onlys[faults->only]);
  put_number(&to, "chance", faults->chance);
  if (faults->count > 0) pump_json_write_integer(put_name(&to, "count"), faults->count);
  put_flag(&to, "refuse", faults->refuse);
  put_text(&to, "gossip", faults->gossip);
  put_number(&to, "duration", (double)faults->duration / 1000);
  pump_buffer_byte(out, '}');
}

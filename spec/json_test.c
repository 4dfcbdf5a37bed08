/* JSON from C: the reader's tokens, the writers, another locale, and no memory. */
#include "starve.h"

#include <limits.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/number.h"
#include "lua/json.h"

/* ---- A locale with a decimal comma -------------------------------------------------------- */

static bool comma;
static int points_seen;

double __real_strtod(const char *text, char **end);
double __wrap_strtod(const char *text, char **end);
int __wrap_snprintf(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As setlocale would make it: reading stops at a point, and writing makes commas. */
double __wrap_strtod(const char *text, char **end) {
  char cut[1024];
  size_t size = strcspn(text, ".");
  points_seen += text[size] == '.';
  if (!comma || text[size] == '\0' || size >= sizeof cut) return __real_strtod(text, end);
  memcpy(cut, text, size);
  cut[size] = '\0';
  return __real_strtod(cut, end);
}

int __wrap_snprintf(char *to, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(to, size, format, arguments);
  va_end(arguments);
  for (char *at = to; comma && size > 0 && *at; at++)
    if (*at == '.') *at = ',';
  return written;
}

static void test_locale(void) {
  static const char *const numbers[] = {"0.1",    "3.141592653589793", "1.7976931348623157e308",
                                        "5e-324", "123456.789",        "2.2250738585072014e-308"};
  comma = true;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    char text[PUMP_NUMBER_TEXT];
    double number = pump_number_parse(numbers[i], strlen(numbers[i]));
    size_t size = pump_number_format(text, number);
    tap_ok(size == strlen(numbers[i]) && memcmp(text, numbers[i], size) == 0,
           "%s there and back where the point is a comma", numbers[i]);
  }
  comma = false;
  char text[2000] = "1.";
  memset(text + 2, '3', sizeof text - 2);
  double number = pump_number_parse(text, sizeof text);
  tap_ok(number == 4.0 / 3, "2000 digits: %a", number);
  tap_ok(points_seen == 0, "strtod never sees a point");
}

/* ---- Reader ------------------------------------------------------------------------------- */

static const char *const token_names[] = {"end",     "null",   "false",  "true",
                                          "integer", "float",  "string", "key",
                                          "array",   "/array", "object", "/object"};

/* The tokens as words, and the error behind them. */
static void read_tokens(pump_buffer *to, pump_bytes text) {
  pump_json_reader reader;
  pump_buffer scratch = {0};
  pump_json_reader_init(&reader, text);
  int token;
  while ((token = pump_json_next(&reader)) > 0) {
    pump_buffer_printf(to, "%s", token_names[token]);
    pump_bytes string;
    if (token == PUMP_JSON_INTEGER) pump_buffer_printf(to, "=%lld", (long long)reader.integer);
    if (token == PUMP_JSON_FLOAT) pump_buffer_printf(to, "=%g", reader.number);
    if ((token == PUMP_JSON_KEY || token == PUMP_JSON_STRING) &&
        pump_json_string(&reader, &scratch, &string) == 0)
      pump_buffer_printf(to, "%s%.*s", reader.escaped ? "~" : "=", (int)string.size, string.data);
    pump_buffer_byte(to, ' ');
  }
  if (token == 0)
    pump_buffer_text(to, "end");
  else
    pump_buffer_printf(to, "error at %zu", reader.offset);
  if (pump_json_next(&reader) != token) pump_buffer_text(to, ", then something else");
  pump_buffer_free(&scratch);
}

static void test_tokens(void) {
  static const char *const cases[][2] = {
      {"{\"a\":[1,-2.5,\"x\"],\"\\u0062\":null}",
       "object key=a array integer=1 float=-2.5 string=x /array key~b null /object end"},
      {"[true,false,{},[]]", "array true false object /object array /array /array end"},
      {"[1,]", "array integer=1 error at 3"},
      {"{\"a\":1", "object key=a integer=1 error at 6"},
      {"1 1", "integer=1 error at 2"},
      {"", "error at 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_buffer seen = {0};
    read_tokens(&seen, pump_bytes_of(cases[i][0]));
    tap_ok(strcmp(pump_buffer_string(&seen), cases[i][1]) == 0, "%s is %s", cases[i][0],
           pump_buffer_string(&seen));
    pump_buffer_free(&seen);
  }
  pump_buffer seen = {0};
  read_tokens(&seen, (pump_bytes){NULL, 0});
  tap_ok(strcmp(pump_buffer_string(&seen), "error at 0") == 0, "no text at all is an error");
  pump_buffer_free(&seen);
}

static void test_skip(void) {
  pump_json_reader reader;
  pump_json_reader_init(&reader, pump_bytes_of("{\"a\":{\"b\":[1,[2]]},\"c\":3,\"d\":[]}"));
  bool fine = pump_json_next(&reader) == PUMP_JSON_OBJECT;
  for (const char *key = "acd"; *key; key++) {
    fine = fine && pump_json_next(&reader) == PUMP_JSON_KEY && *reader.string.data == *key;
    fine = fine && pump_json_skip(&reader, PUMP_JSON_KEY) == 0;
  }
  fine = fine && pump_json_next(&reader) == PUMP_JSON_OBJECT_END && pump_json_next(&reader) == 0;
  tap_ok(fine, "values are skipped whole");
  pump_json_reader_init(&reader, pump_bytes_of("[[1,2,[}"));
  tap_ok(pump_json_skip(&reader, pump_json_next(&reader)) == PUMP_EJSON && reader.offset == 7,
         "what is wrong in them is seen");
}

/* ---- Writers ------------------------------------------------------------------------------ */

static void test_writers(void) {
  pump_buffer out = {0};
  pump_json_write_integer(&out, INT64_MIN);
  pump_json_write_float(&out, 1);
  pump_json_write_string(&out, (pump_bytes){"a\0\"", 3});
  tap_ok(strcmp(pump_buffer_string(&out), "-92233720368547758081.0\"a\\u0000\\\"\"") == 0,
         "numbers and strings: %s", pump_buffer_string(&out));
  size_t before = out.size;
  tap_ok(pump_json_write_string(&out, pump_bytes_of("ab\n\xff")) == PUMP_EJSON &&
             pump_json_write_float(&out, NAN) == PUMP_EJSON &&
             pump_json_write_float(&out, -INFINITY) == PUMP_EJSON && out.size == before,
         "what is no JSON is refused, and nothing of it written");
  pump_buffer_free(&out);
}

/* ---- No memory ---------------------------------------------------------------------------- */

static int write_everything(void *ud) {
  (void)ud;
  pump_buffer out = {0};
  pump_json_reader reader;
  pump_buffer scratch = {0};
  for (int i = 0; i < 300; i++) {
    pump_json_write_string(&out, pump_bytes_of("a string\nof two lines"));
    pump_json_write_float(&out, i / 3.0);
    pump_json_write_integer(&out, i);
  }
  pump_json_reader_init(&reader, pump_bytes_of("\"\\u00e9\""));
  pump_bytes string;
  int code = pump_json_next(&reader) == PUMP_JSON_STRING ? 0 : PUMP_EJSON;
  if (code == 0) code = pump_json_string(&reader, &scratch, &string);
  if (out.failed) code = PUMP_ENOMEM;
  pump_buffer_free(&out);
  pump_buffer_free(&scratch);
  return code;
}

/* Lua collects and asks again when an allocation fails, so here none is granted from one on. */
static long granted;

static void *allocate(void *ud, void *memory, size_t old_size, size_t size) {
  (void)ud;
  if (size == 0) {
    free(memory);
    return NULL;
  }
  if ((!memory || size > old_size) && granted-- <= 0) return NULL;
  return realloc(memory, size);
}

static const char script[] = "local json, text = ...\n"
                             "local value = assert(json.decode(text))\n"
                             "for i = 1, 200 do value['key' .. i] = { i } end\n"
                             "local out = assert(json.encode(value))\n"
                             "assert(json.encode(json.decode(out)) == out)\n"
                             "local _, why = json.encode { a = { print } }\n"
                             "assert(why:find 'function' and not json.decode '[1,')\n";
static const char nested[] =
    "{\"list\":[1,2.5,\"\\u00e9 and a long string, longer than Lua interns, \\n of two lines\","
    "[[],{}]],\"object\":{\"a\":{\"b\":{\"c\":null}}}}";

static int run_script(lua_State *L) {
  pump_lua_open_json(L);
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  lua_pushstring(L, nested);
  lua_call(L, 2, 0);
  return 0;
}

/* With so many of Lua's allocations granted, or the one of that number failed (0: none), of Lua's
 * or of our buffers'. 0, PUMP_ENOMEM, or PUMP_EJSON for another error than memory. */
static int run_lua(long allocations, long failing) {
  granted = LONG_MAX;
  lua_State *L = lua_newstate(allocate, NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, run_script);
  granted = allocations;
  starve_count = 0;
  starve_at = failing;
  int status = lua_pcall(L, 0, 0, 0);
  starve_at = 0;
  granted = LONG_MAX;
  const char *why = status == LUA_OK ? "" : luaL_tolstring(L, -1, NULL);
  bool memory = status == LUA_ERRMEM || strstr(why, "out of memory");
  int code = status == LUA_OK ? 0 : memory ? PUMP_ENOMEM : PUMP_EJSON;
  if (code == PUMP_EJSON) printf("# %s\n", why);
  lua_close(L);
  return code;
}

static void test_lua_without_memory(void) {
  long alive = starve_alive, allocations = -1;
  int code = PUMP_ENOMEM;
  while (code == PUMP_ENOMEM && starve_alive == alive)
    code = run_lua(++allocations, 0);
  tap_ok(code == 0 && starve_alive == alive && allocations > 300,
         "Lua: each of %ld allocations may fail, and nothing leaks", allocations);
  long refused = 0, at = 1;
  do {
    code = run_lua(LONG_MAX, at++);
    refused += code == PUMP_ENOMEM;
  } while (starve_count >= at - 1 && code != PUMP_EJSON && starve_alive == alive);
  tap_ok(code == 0 && starve_alive == alive && refused > 0,
         "Lua and its buffers: a single one may fail: %ld of %ld were fatal", refused, at - 2);
}

int main(void) {
  test_tokens();
  test_skip();
  test_writers();
  test_locale();
  long allocations = starve(write_everything, NULL, PUMP_ENOMEM);
  tap_ok(allocations > 5, "each of %ld allocations may fail", allocations);
  test_lua_without_memory();
  return tap_done();
}

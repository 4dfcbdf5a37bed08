/* JSON as text, laid out for people without being decoded, so that numbers, the order of keys and
 * doubled keys stay as they were written. It comes in pieces: who writes them can be stopped in
 * between, however long the text is. */
#include "pumpsh.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"

enum { piece_size = 32768 };
enum { deepest = 40 }; /* a margin on each of many lines is more than the text itself */

enum { KEY, STRING, NUMBER, WORD, KINDS };

typedef struct layout {
  pump_json_reader reader;
  size_t width, margin;       /* of the lines, and before all but the first one */
  int before;                 /* the token before this one, PUMP_JSON_END at the start */
  size_t flat;                /* the level from which on all stands on one line, 0 if none */
  bool safe;                  /* what would act on a terminal is written as JSON escapes it */
  const char *colours[KINDS]; /* "\33[34m", or NULL */
} layout;

static bool opens(int token) {
  return token == PUMP_JSON_ARRAY || token == PUMP_JSON_OBJECT;
}

static bool closes(int token) {
  return token == PUMP_JSON_ARRAY_END || token == PUMP_JSON_OBJECT_END;
}

/* A string or key with its quotes, a number, a word. */
static pump_bytes token_text(const pump_json_reader *reader, int token) {
  if (token == PUMP_JSON_STRING || token == PUMP_JSON_KEY)
    return (pump_bytes){reader->string.data - 1, reader->string.size + 2};
  if (token == PUMP_JSON_NULL) return (pump_bytes){"null", 4};
  if (token == PUMP_JSON_TRUE) return (pump_bytes){"true", 4};
  if (token == PUMP_JSON_FALSE) return (pump_bytes){"false", 5};
  const char *end = reader->text.data + reader->at, *start = end;
  while (start > reader->text.data && strchr("0123456789+-.eE", start[-1]))
    start--;
  return (pump_bytes){start, (size_t)(end - start)};
}

/* Whether the array or object that was just opened is no wider than so many columns. One that is
 * much longer as it is written is not looked at: it would be so again on each level. */
static bool fits(const layout *all, size_t columns) {
  pump_json_reader reader = all->reader;
  size_t depth = reader.depth, used = 1;
  int token = PUMP_JSON_ARRAY;
  if (reader.text.size - reader.at > 16 * columns) reader.text.size = reader.at + 16 * columns;
  while (used <= columns) {
    int before = token;
    token = pump_json_next(&reader);
    if (token < 0) return false;
    if (closes(token)) {
      used++;
      if (reader.depth < depth) return used <= columns;
    } else {
      if (!opens(before)) used += 2; /* ", " or ": " */
      used += opens(token) ? 1 : pumpsh_width(token_text(&reader, token));
    }
  }
  return false;
}

static void new_line(const layout *all, luaL_Buffer *to, size_t level) {
  size_t blanks = all->margin + (2 * level < deepest ? 2 * level : deepest);
  char *line = luaL_prepbuffsize(to, blanks + 1);
  *line = '\n';
  memset(line + 1, ' ', blanks);
  luaL_addsize(to, blanks + 1);
}

/* What stands between the token before and this one. */
static void separate(const layout *all, luaL_Buffer *to, int token) {
  size_t level = all->reader.depth - opens(token);
  if (all->before == PUMP_JSON_END) return;
  if (all->before == PUMP_JSON_KEY) {
    luaL_addlstring(to, ": ", 2);
  } else if (closes(token)) {
    if (!all->flat && !opens(all->before)) new_line(all, to, level);
  } else {
    if (!opens(all->before)) luaL_addchar(to, ',');
    if (!all->flat)
      new_line(all, to, level);
    else if (!opens(all->before))
      luaL_addchar(to, ' ');
  }
}

static void add_safe(luaL_Buffer *to, pump_bytes text) {
  size_t at = 0;
  while (at < text.size) {
    uint32_t code = 0;
    pump_bytes rest = {text.data + at, text.size - at};
    size_t size = (uint8_t)*rest.data < 0x7f ? 1 : pumpsh_glyph(rest, &code);
    if (pumpsh_steers(code)) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)code);
      luaL_addlstring(to, text.data, at);
      luaL_addstring(to, escaped);
      text = (pump_bytes){rest.data + size, rest.size - size};
      at = 0;
    } else {
      at += size;
    }
  }
  luaL_addlstring(to, text.data, at);
}

static void add_leaf(const layout *all, luaL_Buffer *to, int token) {
  int kind = token == PUMP_JSON_KEY                                   ? KEY
             : token == PUMP_JSON_STRING                              ? STRING
             : token == PUMP_JSON_INTEGER || token == PUMP_JSON_FLOAT ? NUMBER
                                                                      : WORD;
  const char *colour = all->colours[kind];
  if (colour) luaL_addstring(to, colour);
  pump_bytes text = token_text(&all->reader, token);
  if (all->safe)
    add_safe(to, text);
  else
    luaL_addlstring(to, text.data, text.size);
  if (colour) luaL_addlstring(to, "\33[0m", 4);
}

static void add_token(layout *all, luaL_Buffer *to, int token) {
  size_t depth = all->reader.depth;
  separate(all, to, token);
  if (opens(token)) {
    size_t used = 2 * (depth - 1) < deepest ? 2 * (depth - 1) : deepest;
    if (all->before == PUMP_JSON_KEY) used += pumpsh_width(all->reader.string) + 4;
    luaL_addchar(to, token == PUMP_JSON_ARRAY ? '[' : '{');
    if (!all->flat && all->width > used && fits(all, all->width - used)) all->flat = depth;
  } else if (closes(token)) {
    luaL_addchar(to, token == PUMP_JSON_ARRAY_END ? ']' : '}');
    if (depth < all->flat) all->flat = 0;
  } else {
    add_leaf(all, to, token);
  }
  all->before = token;
}

/* The iterator that json returns. */
static int next_piece(lua_State *L) {
  layout *all = lua_touserdata(L, lua_upvalueindex(1));
  luaL_Buffer piece;
  luaL_buffinitsize(L, &piece, piece_size);
  while (luaL_bufflen(&piece) < piece_size) {
    int token = pump_json_next(&all->reader);
    if (token == PUMP_JSON_END) break;
    if (token < 0) return luaL_error(L, "this is not JSON: %s", all->reader.message);
    add_token(all, &piece, token);
  }
  if (luaL_bufflen(&piece) == 0) return 0;
  luaL_pushresult(&piece);
  return 1;
}

/* json(text, width, margin, safe, colours) -> an iterator over pieces: indented by two blanks a
 * level, or on one line where that is no wider than width; margin blanks stand before all lines but
 * the first. colours: what begins a key, a string, a number, a word; nil for none. */
static int json(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  lua_Integer columns = luaL_checkinteger(L, 2), margin = luaL_checkinteger(L, 3);
  luaL_argcheck(L, columns >= 0 && columns < 10000, 2, "out of range");
  luaL_argcheck(L, margin >= 0 && margin < 1000, 3, "out of range");
  lua_settop(L, 5);
  layout *all = lua_newuserdatauv(L, sizeof *all, 0);
  *all = (layout){.width = (size_t)columns, .margin = (size_t)margin, .safe = lua_toboolean(L, 4)};
  pump_json_reader_init(&all->reader, text);
  for (int kind = 0; kind < KINDS && lua_istable(L, 5); kind++) {
    lua_rawgeti(L, 5, kind + 1);
    all->colours[kind] = luaL_checkstring(L, -1); /* the table keeps it */
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 5);
  lua_pushcclosure(L, next_piece, 3);
  return 1;
}

/* is_json(text) -> whether it is one value */
static int is_json(lua_State *L) {
  pump_bytes text;
  pump_json_reader reader;
  text.data = luaL_checklstring(L, 1, &text.size);
  pump_json_reader_init(&reader, text);
  int token;
  do
    token = pump_json_next(&reader);
  while (token > 0);
  lua_pushboolean(L, token == PUMP_JSON_END);
  return 1;
}

/* line(text) -> the same value without line ends: they stand between tokens only */
static int line(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  luaL_Buffer result;
  lua_settop(L, 1);
  if (!memchr(text, '\n', size) && !memchr(text, '\r', size)) return 1;
  char *to = luaL_buffinitsize(L, &result, size);
  for (size_t i = 0; i < size; i++)
    to[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
  luaL_pushresultsize(&result, size);
  return 1;
}

int luaopen_repl_layout(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"json", json}, {"is_json", is_json}, {"line", line}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

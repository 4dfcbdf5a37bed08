/* Characters as a terminal has them: how wide each is, and which of them would act on it. */
#define _GNU_SOURCE
#include "pumpsh.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <wchar.h>

static bool continues(uint8_t byte) {
  return (byte & 0xc0) == 0x80;
}

size_t pumpsh_glyph(pump_bytes text, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t *at = (const uint8_t *)text.data;
  if (text.size == 0) return 0;
  if (*at < 0x80) {
    *code = *at;
    return 1;
  }
  size_t size = *at >= 0xf8 ? 0 : *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc0 ? 2 : 0;
  if (size == 0 || size > text.size) return 0;
  uint32_t value = *at & (0x7fu >> size);
  for (size_t i = 1; i < size; i++) {
    if (!continues(at[i])) return 0;
    value = value << 6 | (at[i] & 0x3f);
  }
  if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
  *code = value;
  return size;
}

bool pumpsh_steers(uint32_t code) {
  return (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

size_t pumpsh_width(pump_bytes text) {
  size_t columns = 0;
  while (text.size > 0) {
    uint32_t code = 0;
    size_t size = pumpsh_glyph(text, &code);
    int wide = code < 0x80 ? 1 : wcwidth((wchar_t)code);
    columns += wide < 0 ? 1 : (size_t)wide;
    if (size == 0) size = 1;
    text = (pump_bytes){text.data + size, text.size - size};
  }
  return columns;
}

/* width(text) -> the columns that it takes on a terminal */
static int width(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  lua_pushinteger(L, (lua_Integer)pumpsh_width(text));
  return 1;
}

/* How many bytes from here are harmless. */
static size_t harmless(pump_bytes text, bool lines) {
  size_t at = 0;
  while (at < text.size) {
    uint8_t byte = (uint8_t)text.data[at];
    size_t size = byte >= 0x20 || (lines && (byte == '\n' || byte == '\t'));
    if (byte >= 0x7f) {
      uint32_t code;
      size = pumpsh_glyph((pump_bytes){text.data + at, text.size - at}, &code);
      if (size > 0 && pumpsh_steers(code)) size = 0;
    }
    if (size == 0) break;
    at += size;
  }
  return at;
}

/* Writes out the character that a text begins with; returns its size. */
static size_t escape(luaL_Buffer *to, pump_bytes text) {
  char escaped[16];
  uint32_t code;
  size_t size = pumpsh_glyph(text, &code);
  if (size == 0 || (code < 0x20 && code != '\n' && code != '\r' && code != '\t'))
    snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned)(uint8_t)*text.data);
  else if (code < 0x20)
    snprintf(escaped, sizeof escaped, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
  else
    snprintf(escaped, sizeof escaped, "\\u{%x}", (unsigned)code);
  luaL_addstring(to, escaped);
  return size == 0 ? 1 : size;
}

/* safe(text, lines) -> the text with everything in it that could act on a terminal written out.
 * With lines, line ends and tabs stay. */
static int safe(lua_State *L) {
  bool lines = lua_toboolean(L, 2);
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  size_t size = harmless(text, lines);
  luaL_Buffer result;
  lua_settop(L, 1);
  if (size == text.size) return 1;
  luaL_buffinit(L, &result);
  for (;;) {
    luaL_addlstring(&result, text.data, size);
    text = (pump_bytes){text.data + size, text.size - size};
    if (text.size == 0) break;
    size = escape(&result, text);
    text = (pump_bytes){text.data + size, text.size - size};
    size = harmless(text, lines);
  }
  luaL_pushresult(&result);
  return 1;
}

/* is_text(text) -> whether it is there to be read: UTF-8 without control characters but line ends
 * and tabs */
static int is_text(lua_State *L) {
  pump_bytes text;
  bool fine = true;
  text.data = luaL_checklstring(L, 1, &text.size);
  while (fine && text.size > 0) {
    uint32_t code = 0;
    size_t size = pumpsh_glyph(text, &code);
    bool ends_line = code == '\n' || code == '\r' || code == '\t';
    fine = size > 0 && code != 0x7f && (code >= 0x20 || ends_line);
    text = (pump_bytes){text.data + size, text.size - size};
  }
  lua_pushboolean(L, fine);
  return 1;
}

/* The bytes of a sequence that chooses a colour and that a text begins with, 0 where there is none. */
static size_t colour(pump_bytes text) {
  size_t at = 2;
  if (text.size < 3 || text.data[0] != '\33' || text.data[1] != '[') return 0;
  while (at < text.size && (isdigit((unsigned char)text.data[at]) || text.data[at] == ';'))
    at++;
  return at < text.size && text.data[at] == 'm' ? at + 1 : 0;
}

/* The column behind a character, or a colour, where a terminal has so many columns; more than that
 * where it stands in the next row. */
static size_t column_behind(size_t column, pump_bytes glyph, size_t columns) {
  size_t tab = (column / 8 + 1) * 8;
  if (*glyph.data == '\n') return 0;
  if (*glyph.data == '\t') return tab < columns ? tab : columns - 1;
  return *glyph.data == '\33' ? column : column + pumpsh_width(glyph);
}

/* rows(text, from, column, columns, most) -> where the last row ends that is full when a terminal
 * of so many columns gets the text from there on in that column, and 0; or, where the text ends
 * before so many bytes or they fill no row, where they end, and in which column */
static int rows(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  size_t at = (size_t)luaL_checkinteger(L, 2) - 1, column = (size_t)luaL_checkinteger(L, 3);
  size_t columns = (size_t)luaL_checkinteger(L, 4), most = (size_t)luaL_checkinteger(L, 5);
  luaL_argcheck(L, at < text.size, 2, "out of range");
  size_t end = text.size - at > most ? at + most : text.size, full = SIZE_MAX;
  while (at < end) {
    pump_bytes rest = {text.data + at, text.size - at};
    uint32_t code;
    size_t size = colour(rest);
    if (size == 0) size = pumpsh_glyph(rest, &code);
    if (size == 0) size = 1;
    size_t behind = column_behind(column, (pump_bytes){rest.data, size}, columns);
    if (behind > columns) {
      full = at;
      behind -= column;
    }
    at += size;
    column = behind;
    if (*rest.data == '\n') full = at;
  }
  bool is_cut = at < text.size && full != SIZE_MAX;
  lua_pushinteger(L, (lua_Integer)(is_cut ? full : at));
  lua_pushinteger(L, is_cut ? 0 : (lua_Integer)column);
  return 2;
}

int luaopen_repl_glyphs(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"width", width}, {"safe", safe}, {"is_text", is_text}, {"rows", rows}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

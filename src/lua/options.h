/* Options as Lua hands them over: fields of a table that was checked before. */
#ifndef PUMP_LUA_OPTIONS_H
#define PUMP_LUA_OPTIONS_H

#include <lua.h>
#include <stdbool.h>

/* NULL for what is no string. The table keeps the text alive: so it is taken raw, and a number, whose
 * text nobody would keep, is none. */
static inline const char *pump_lua_text_option(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  const char *text = lua_rawget(L, table) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return text;
}

static inline lua_Integer pump_lua_integer_option(lua_State *L, int table, const char *name,
                                                  lua_Integer otherwise) {
  int is_integer;
  lua_getfield(L, table, name);
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  lua_pop(L, 1);
  return is_integer ? value : otherwise;
}

static inline bool pump_lua_flag_option(lua_State *L, int table, const char *name, bool otherwise) {
  bool value = lua_getfield(L, table, name) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

#endif

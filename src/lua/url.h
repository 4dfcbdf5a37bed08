/* URLs for Lua. */
#ifndef PUMP_LUA_URL_H
#define PUMP_LUA_URL_H

#include <lua.h>

/* Adds parse_url and redact to the table on the top. */
void pump_lua_open_url(lua_State *L);

#endif

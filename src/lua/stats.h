/* What a client has counted, as Lua has it. */
#ifndef PUMP_LUA_STATS_H
#define PUMP_LUA_STATS_H

#include <lua.h>
#include <pump.h>

/* Pushes a table; times are seconds. */
void pump_lua_push_stats(lua_State *L, const pump_stats *stats);

#endif

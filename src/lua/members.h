/* Members of a cluster as Lua tables. */
#ifndef PUMP_LUA_MEMBERS_H
#define PUMP_LUA_MEMBERS_H

#include <lua.h>
#include <pump.h>

/* Pushes the list; what was not told is nil. */
void pump_lua_push_members(lua_State *L, const pump_members *members);

#endif

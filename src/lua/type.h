/* Types of userdata. Their metatables are out of a script's reach, as what stands in them is called
 * by Lua with what it is for, and believes so. */
#ifndef PUMP_LUA_TYPE_H
#define PUMP_LUA_TYPE_H

#include <lauxlib.h>

/* Makes the metatable that luaL_checkudata knows by this name, and pushes the table of its methods
 * (NULL: it has none yet). */
void pump_lua_push_type(lua_State *L, const char *name, const luaL_Reg *metamethods,
                        const luaL_Reg *methods);

#endif

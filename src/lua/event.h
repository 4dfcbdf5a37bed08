/* Events as Lua has them: places in pages (page.h). */
#ifndef PUMP_LUA_EVENT_H
#define PUMP_LUA_EVENT_H

#include <lua.h>
#include <pump.h>

/* The event at this index; raises for what is none. */
const pump_event *pump_lua_check_event(lua_State *L, int index);
/* Adds the functions for events to the table on the top. */
void pump_lua_open_event(lua_State *L);

#endif

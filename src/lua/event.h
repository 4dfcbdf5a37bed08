/* Pages and events as Lua has them.
 *
 * A page userdata holds one reference to a page and is the only one with a finaliser. An event is
 * a few words that name a place in a page, with the page's userdata as its user value; its fields
 * become Lua values when somebody asks for them. */
#ifndef PUMP_LUA_EVENT_H
#define PUMP_LUA_EVENT_H

#include <lua.h>
#include <pump.h>
#include "lua/loop.h"

/* Pushes a page and takes over the reference: *page becomes NULL. */
void pump_lua_push_page(lua_State *L, pump_lua_loop *loop, pump_page **page);
/* The same for the page of a subscription, of which only the events from `first` on are new. */
void pump_lua_push_events(lua_State *L, pump_lua_loop *loop, pump_page **page, size_t first);
/* The event at this index; raises for what is none. */
const pump_event *pump_lua_check_event(lua_State *L, int index);
/* Adds the functions for pages and events to the table on the top, with the loop at `index`. */
void pump_lua_open_event(lua_State *L, int index);

#endif

/* Pages as Lua has them, and the iterators that give out their events.
 *
 * A page userdata holds one reference to a page and is the only one with a finaliser. An event is
 * a few words that name a place in a page, with the page's userdata as its user value; its fields
 * become Lua values when somebody asks for them (event.h). */
#ifndef PUMP_LUA_PAGE_H
#define PUMP_LUA_PAGE_H

#include <lua.h>
#include <pump.h>
#include "lua/loop.h"

#define PUMP_LUA_EVENT "pump.event"

typedef struct pump_lua_page {
  pump_page *page;     /* NULL once finalised, which can be before the events that look into it */
  size_t next;         /* for the iterator */
  size_t size;         /* of the page, or the part of it that this userdata answers for */
  pump_lua_loop *loop; /* as old as the state: its memory is there to the end */
} pump_lua_page;

/* Small, as there are many: a loop makes one for every event and soon has no more use for it. */
typedef struct pump_lua_event {
  pump_lua_page *owner; /* alive as long as this: it is the user value */
  uint32_t index;       /* in its page */
  bool is_link;         /* shows the link itself, not where it leads */
} pump_lua_event;

/* Only of an event whose page is still there. */
static inline const pump_event *pump_lua_event_place(const pump_lua_event *event) {
  return &event->owner->page->events[event->index];
}

/* Pushes a page and takes over the reference: *page becomes NULL. */
void pump_lua_push_page(lua_State *L, pump_lua_loop *loop, pump_page **page);
/* The same for the page of a subscription, of which only the events from `first` on are new. */
void pump_lua_push_events(lua_State *L, pump_lua_loop *loop, pump_page **page, size_t first);
/* Adds the functions for pages to the table on the top, with the loop at `index`. */
void pump_lua_open_page(lua_State *L, int index);

#endif

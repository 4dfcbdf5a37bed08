#include "lua/page.h"

#include <lauxlib.h>

#include "base/page.h"
#include "lua/type.h"

#define PAGE_TYPE     "pump.page"
#define ITERATOR_TYPE "pump.core.iterator"
/* How many events of an iterator share a page userdata. Few, so that it dies young: what lives
 * through two collections is old for a generational collector, and its page stays for long. */
#define SHARERS 64
/* A page of few events is one that was pushed, and others are in the block that it keeps: to count
 * the whole of it for each would have Lua collect all the time. */
#define FEW          8
#define SHARED_BLOCK 16

/* ---- Pages -------------------------------------------------------------------------------- */

/* The collector sees some words of userdata where a page keeps half a megabyte. So we count
 * ourselves, and ask for a step when pages have grown; if that frees too little (lua5.4 runs in
 * generational mode, where an old page stays), for a whole cycle. The limit grows as much as the
 * collector itself would wait for: twofold, or as much as all of Lua's memory. */
static void pace(lua_State *L, pump_lua_loop *loop) {
  if (loop->page_bytes <= loop->page_limit || !lua_gc(L, LUA_GCISRUNNING)) return;
  lua_gc(L, LUA_GCSTEP, (int)(loop->page_bytes / 1024));
  if (loop->page_bytes > loop->page_limit / 2) lua_gc(L, LUA_GCCOLLECT);
  size_t lua_bytes = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024;
  size_t limit = 2 * loop->page_bytes > lua_bytes ? 2 * loop->page_bytes : lua_bytes;
  loop->page_limit = limit > PUMP_LUA_PAGE_LIMIT ? limit : PUMP_LUA_PAGE_LIMIT;
}

static pump_lua_page *new_page(lua_State *L, pump_lua_loop *loop) {
  pump_lua_page *owner = lua_newuserdatauv(L, sizeof *owner, 1);
  *owner = (pump_lua_page){.loop = loop};
  luaL_setmetatable(L, PAGE_TYPE);
  return owner;
}

void pump_lua_push_page(lua_State *L, pump_lua_loop *loop, pump_page **page) {
  pace(L, loop); /* before there is a userdata, which a whole cycle would make old */
  pump_lua_page *owner = new_page(L, loop);
  owner->size = pump_page_size(*page);
  owner->page = *page;
  *page = NULL;
  loop->page_bytes += owner->size;
}

void pump_lua_push_events(lua_State *L, pump_lua_loop *loop, pump_page **page, size_t first) {
  size_t count = (*page)->count;
  pump_lua_push_page(L, loop, page);
  pump_lua_page *owner = lua_touserdata(L, -1);
  owner->next = first;
  if (count > FEW) return;
  loop->page_bytes -= owner->size - owner->size / SHARED_BLOCK;
  owner->size /= SHARED_BLOCK;
}

static pump_lua_page *check_page(lua_State *L) {
  pump_lua_page *owner = luaL_checkudata(L, 1, PAGE_TYPE);
  if (!owner->page) luaL_error(L, "the page is gone");
  return owner;
}

static int page_gc(lua_State *L) {
  pump_lua_page *owner = luaL_checkudata(L, 1, PAGE_TYPE);
  pump_page *page = owner->page;
  owner->page = NULL;
  if (page) owner->loop->page_bytes -= owner->size;
  pump_page_unref(page);
  return 0;
}

/* Pushes room for an event; finalisers may run. */
static pump_lua_event *new_event(lua_State *L) {
  return lua_newuserdatauv(L, sizeof(pump_lua_event), 1);
}

/* Makes it an event of the page whose userdata is on the top, and leaves it there. metatable is an
 * absolute index or an upvalue. */
static void set_event(lua_State *L, pump_lua_event *event, pump_lua_page *owner, size_t index,
                      int metatable) {
  *event = (pump_lua_event){.owner = owner, .index = (uint32_t)index};
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, -2);
}

/* page:count() */
static int page_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_page(L)->page->count);
  return 1;
}

/* page:size() -> the bytes of memory behind it */
static int page_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)pump_page_size(check_page(L)->page));
  return 1;
}

/* page:event(index), from 1 */
static int page_event(lua_State *L) {
  pump_lua_page *owner = check_page(L);
  lua_Integer index = luaL_checkinteger(L, 2);
  luaL_argcheck(L, index >= 1 && (size_t)index <= owner->page->count, 2, "no such event");
  lua_settop(L, 1);
  luaL_getmetatable(L, PUMP_LUA_EVENT);
  pump_lua_event *event = new_event(L);
  lua_pushvalue(L, 1);
  set_event(L, event, owner, (size_t)index - 1, 2);
  return 1;
}

/* page:events() -> a table of all its events */
static int page_events(lua_State *L) {
  pump_lua_page *owner = check_page(L);
  lua_settop(L, 1);
  luaL_getmetatable(L, PUMP_LUA_EVENT);
  lua_createtable(L, (int)owner->page->count, 4);
  for (size_t i = 0; i < owner->page->count; i++) {
    pump_lua_event *event = new_event(L);
    lua_pushvalue(L, 1);
    set_event(L, event, owner, i, 2);
    lua_rawseti(L, 3, (lua_Integer)i + 1);
  }
  return 1;
}

/* page:bounds() -> where a stream's page ended: next and last event number, is it the end */
static int page_bounds(lua_State *L) {
  const pump_page *page = check_page(L)->page;
  lua_pushinteger(L, page->next_event_number);
  lua_pushinteger(L, page->last_event_number);
  lua_pushboolean(L, page->is_end);
  return 3;
}

/* page:positions() -> the same for a page of $all: commit, prepare, next commit, next prepare */
static int page_positions(lua_State *L) {
  const pump_page *page = check_page(L)->page;
  lua_pushinteger(L, page->position.commit);
  lua_pushinteger(L, page->position.prepare);
  lua_pushinteger(L, page->next_position.commit);
  lua_pushinteger(L, page->next_position.prepare);
  lua_pushboolean(L, page->is_end);
  return 5;
}

/* page:set_decode(f): what event:json() uses instead of pump's own decoder */
static int page_set_decode(lua_State *L) {
  check_page(L);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* ---- Iterating ---------------------------------------------------------------------------- */

/* Where an iterator is. It keeps its page as a user value: what is stored in an upvalue of an old
 * function is old from then on for a generational collector. */
typedef struct lua_iterator {
  pump_lua_page *owner; /* NULL: there is no page */
  bool has_begun;
  int64_t number; /* where the event stands that was given out last, of the pages before this */
  pump_position position;
} lua_iterator;

/* The upvalues of an iterator: itself, the function that gets the next page, the metatable. */
enum { AT_SELF = 1, AT_MORE, AT_METATABLE };

/* Pops the page that the iterator goes on with, or nil. */
static void set_page(lua_State *L, lua_iterator *self, pump_lua_page *owner) {
  self->owner = owner;
  lua_setiuservalue(L, lua_upvalueindex(AT_SELF), 1);
}

static void note_place(lua_iterator *self) {
  const pump_lua_page *owner = self->owner;
  if (!owner || !owner->page || owner->next == 0) return;
  const pump_event *event = &owner->page->events[owner->next - 1];
  self->has_begun = true;
  self->number = event->link ? event->link->number : event->record->number;
  self->position = event->position;
}

static int iterator_next(lua_State *L);

/* Pops what more() gave. False: it is the end, and nil is on the top. */
static bool take_page(lua_State *L, lua_iterator *self) {
  pump_lua_page *owner = luaL_testudata(L, -1, PAGE_TYPE);
  if (lua_isboolean(L, -1)) {
    lua_pop(L, 1);
    return true;
  }
  if (!owner || !owner->page || owner->page->count == 0) {
    lua_pushnil(L);
    return false;
  }
  set_page(L, self, owner);
  return true;
}

static int iterator_got_page(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return take_page(L, lua_touserdata(L, lua_upvalueindex(AT_SELF))) ? iterator_next(L) : 1;
}

/* The iterator goes on with a new userdata for the same page. */
static void renew_page(lua_State *L, lua_iterator *self) {
  pump_lua_page *before = self->owner, *owner = new_page(L, before->loop);
  if (self->owner != before) { /* a finaliser has gone on with it */
    lua_pop(L, 1);
    return;
  }
  size_t left = before->page->count - before->next + SHARERS;
  size_t part = before->size / left * SHARERS;
  owner->page = pump_page_ref(before->page);
  owner->next = before->next;
  owner->size = before->size - part;
  before->size = part;
  lua_getiuservalue(L, lua_upvalueindex(AT_SELF), 1);
  lua_getiuservalue(L, -1, 1);
  lua_setiuservalue(L, -3, 1);
  lua_pop(L, 1);
  set_page(L, self, owner);
}

/* The loop's variable still holds the last event while its iterator waits for the next page, and
 * with it would hold all of this one: the event gets a page of its own. */
static void part_with(lua_State *L, pump_lua_page *owner) {
  pump_lua_event *event = luaL_testudata(L, 2, PUMP_LUA_EVENT);
  if (!event || !owner || event->owner != owner || !owner->page || owner->page->count < 2) return;
  pump_lua_page *alone = new_page(L, owner->loop);
  alone->page = pump_page_of_one(pump_lua_event_place(event));
  if (alone->page) {
    alone->size = pump_page_size(alone->page);
    owner->loop->page_bytes += alone->size;
    lua_getiuservalue(L, lua_upvalueindex(AT_SELF), 1);
    lua_getiuservalue(L, -1, 1);
    lua_setiuservalue(L, -3, 1);
    lua_pop(L, 1);
    event->owner = alone;
    event->index = 0;
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 2, 1);
  }
  lua_pop(L, 1);
}

static bool has_next(const pump_lua_page *owner) {
  return owner && owner->page && owner->next < owner->page->count;
}

static int iterator_next(lua_State *L) {
  lua_iterator *self = lua_touserdata(L, lua_upvalueindex(AT_SELF));
  do {
    if (has_next(self->owner)) {
      if (self->owner->next % SHARERS == 0 && self->owner->next > 0) renew_page(L, self);
      pump_lua_event *event = new_event(L);
      pump_lua_page *owner = self->owner; /* by now: a finaliser may have gone on with it */
      if (has_next(owner)) {
        lua_getiuservalue(L, lua_upvalueindex(AT_SELF), 1);
        set_event(L, event, owner, owner->next++, lua_upvalueindex(AT_METATABLE));
        return 1;
      }
      lua_pop(L, 1);
    }
    note_place(self);
    part_with(L, self->owner);
    lua_pushnil(L);
    set_page(L, self, NULL);
    lua_pushvalue(L, lua_upvalueindex(AT_MORE));
    /* It waits, so it may yield: that happens in Lua, and goes on in iterator_got_page. */
    lua_callk(L, 0, 1, 0, iterator_got_page);
  } while (take_page(L, self));
  return 1;
}

/* core.reached(place) -> event number, commit, prepare of the event that the iterator gave out last;
 * nothing before the first */
static int core_reached(lua_State *L) {
  lua_iterator *self = luaL_checkudata(L, 1, ITERATOR_TYPE);
  note_place(self);
  if (!self->has_begun) return 0;
  lua_pushinteger(L, self->number);
  lua_pushinteger(L, self->position.commit);
  lua_pushinteger(L, self->position.prepare);
  return 3;
}

/* core.leave(place): the iterator gives out nothing more of its page */
static int core_leave(lua_State *L) {
  lua_iterator *self = luaL_checkudata(L, 1, ITERATOR_TYPE);
  note_place(self);
  self->owner = NULL;
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* core.iterator(more) -> a function for `for`, and its place for the two above: one event a call,
 * and more() for the next page with at least one event, nil at the end, or true: where several
 * wait, another one may have got a page that has events left. */
static int core_iterator(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_iterator *self = lua_newuserdatauv(L, sizeof *self, 1);
  *self = (lua_iterator){0};
  luaL_setmetatable(L, ITERATOR_TYPE);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  luaL_getmetatable(L, PUMP_LUA_EVENT);
  lua_pushcclosure(L, iterator_next, 3);
  lua_insert(L, 2);
  return 2;
}

/* ---- What the module has of this ---------------------------------------------------------- */

/* core.page_bytes() -> the memory behind all pages that Lua has */
static int core_page_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)pump_lua_this_loop(L)->page_bytes);
  return 1;
}

void pump_lua_open_page(lua_State *L, int index) {
  static const luaL_Reg functions[] = {
      {"iterator", core_iterator},
      {"reached", core_reached},
      {"leave", core_leave},
      {NULL, NULL},
  };
  static const luaL_Reg page_methods[] = {
      {"count", page_count},           {"size", page_size},
      {"event", page_event},           {"events", page_events},
      {"bounds", page_bounds},         {"positions", page_positions},
      {"set_decode", page_set_decode}, {NULL, NULL},
  };
  static const luaL_Reg page_metamethods[] = {{"__gc", page_gc}, {NULL, NULL}};
  static const luaL_Reg no_metamethods[] = {{NULL, NULL}};
  lua_pushvalue(L, index);
  lua_pushcclosure(L, core_page_bytes, 1);
  lua_setfield(L, -2, "page_bytes");
  luaL_setfuncs(L, functions, 0);
  pump_lua_push_type(L, PAGE_TYPE, page_metamethods, page_methods);
  pump_lua_push_type(L, ITERATOR_TYPE, no_metamethods, NULL);
  lua_pop(L, 2);
}

#include "lua/event.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/page.h"
#include "lua/json.h"

#define PAGE_TYPE     "pump.page"
#define EVENT_TYPE    "pump.event"
#define ITERATOR_TYPE "pump.core.iterator"
/* How much of its data an event shows as text, and how much of a stream's name. */
#define SHOWN_DATA 120
#define SHOWN_NAME 200

/* How many events of an iterator share a page userdata. Few, so that it dies young: what lives
 * through two collections is old for a generational collector, and its page stays for long. */
#define SHARERS 64
/* A page of few events is one that was pushed, and others are in the block that it keeps: to count
 * the whole of it for each would have Lua collect all the time. */
#define FEW          8
#define SHARED_BLOCK 16

typedef struct lua_page {
  pump_page *page;     /* NULL once finalised, which can be before the events that look into it */
  size_t next;         /* for the iterator */
  size_t size;         /* of the page, or the part of it that this userdata answers for */
  pump_lua_loop *loop; /* as old as the state: its memory is there to the end */
} lua_page;

typedef struct lua_event {
  lua_page *owner;         /* alive as long as this: it is the user value */
  const pump_event *place; /* in its page */
  bool is_link;            /* shows the link itself, not where it leads */
} lua_event;

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

static lua_page *new_page(lua_State *L, pump_lua_loop *loop) {
  lua_page *owner = lua_newuserdatauv(L, sizeof *owner, 1);
  *owner = (lua_page){.loop = loop};
  luaL_setmetatable(L, PAGE_TYPE);
  return owner;
}

void pump_lua_push_page(lua_State *L, pump_lua_loop *loop, pump_page **page) {
  pace(L, loop); /* before there is a userdata, which a whole cycle would make old */
  lua_page *owner = new_page(L, loop);
  owner->size = pump_page_size(*page);
  owner->page = *page;
  *page = NULL;
  loop->page_bytes += owner->size;
}

void pump_lua_push_events(lua_State *L, pump_lua_loop *loop, pump_page **page, size_t first) {
  size_t count = (*page)->count;
  pump_lua_push_page(L, loop, page);
  lua_page *owner = lua_touserdata(L, -1);
  owner->next = first;
  if (count > FEW) return;
  loop->page_bytes -= owner->size - owner->size / SHARED_BLOCK;
  owner->size /= SHARED_BLOCK;
}

static lua_page *check_page(lua_State *L) {
  lua_page *owner = luaL_checkudata(L, 1, PAGE_TYPE);
  if (!owner->page) luaL_error(L, "the page is gone");
  return owner;
}

static int page_gc(lua_State *L) {
  lua_page *owner = luaL_checkudata(L, 1, PAGE_TYPE);
  pump_page *page = owner->page;
  owner->page = NULL;
  if (page) owner->loop->page_bytes -= owner->size;
  pump_page_unref(page);
  return 0;
}

/* Pushes an event of the page on the top; metatable is an absolute index or an upvalue. The page stays
 * below it, so that no finaliser that runs meanwhile can take it away. */
static void push_event(lua_State *L, lua_page *owner, size_t index, int metatable) {
  lua_event *event = lua_newuserdatauv(L, sizeof *event, 1);
  *event = (lua_event){.owner = owner, .place = &owner->page->events[index]};
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, -2);
}

/* page:count() */
static int page_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_page(L)->page->count);
  return 1;
}

/* page:event(index), from 1 */
static int page_event(lua_State *L) {
  lua_page *owner = check_page(L);
  lua_Integer index = luaL_checkinteger(L, 2);
  luaL_argcheck(L, index >= 1 && (size_t)index <= owner->page->count, 2, "no such event");
  lua_settop(L, 1);
  luaL_getmetatable(L, EVENT_TYPE);
  lua_pushvalue(L, 1);
  push_event(L, owner, (size_t)index - 1, 2);
  return 1;
}

static void push_position(lua_State *L, pump_position position) {
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, position.commit);
  lua_setfield(L, -2, "commit");
  lua_pushinteger(L, position.prepare);
  lua_setfield(L, -2, "prepare");
}

/* page:events() -> a table of all its events */
static int page_events(lua_State *L) {
  lua_page *owner = check_page(L);
  lua_settop(L, 1);
  luaL_getmetatable(L, EVENT_TYPE);
  lua_createtable(L, (int)owner->page->count, 4);
  for (size_t i = 0; i < owner->page->count; i++) {
    lua_pushvalue(L, 1);
    push_event(L, owner, i, 2);
    lua_rawseti(L, 3, (lua_Integer)i + 1);
    lua_pop(L, 1);
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
  lua_page *owner; /* NULL: there is no page */
  bool has_begun;
  int64_t number; /* where the event stands that was given out last, of the pages before this */
  pump_position position;
} lua_iterator;

/* The upvalues of an iterator: itself, the function that gets the next page, the metatable. */
enum { AT_SELF = 1, AT_MORE, AT_METATABLE };

/* Pops the page that the iterator goes on with, or nil. */
static void set_page(lua_State *L, lua_iterator *self, lua_page *owner) {
  self->owner = owner;
  lua_setiuservalue(L, lua_upvalueindex(AT_SELF), 1);
}

static void note_place(lua_iterator *self) {
  const lua_page *owner = self->owner;
  if (!owner || !owner->page || owner->next == 0) return;
  const pump_event *event = &owner->page->events[owner->next - 1];
  self->has_begun = true;
  self->number = event->link ? event->link->number : event->record->number;
  self->position = event->position;
}

static int push_next(lua_State *L, lua_iterator *self) {
  lua_getiuservalue(L, lua_upvalueindex(AT_SELF), 1);
  push_event(L, self->owner, self->owner->next++, lua_upvalueindex(AT_METATABLE));
  return 1;
}

static int iterator_next(lua_State *L);

static int iterator_got_page(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  lua_iterator *self = lua_touserdata(L, lua_upvalueindex(AT_SELF));
  lua_page *owner = luaL_testudata(L, -1, PAGE_TYPE);
  if (lua_isboolean(L, -1)) return iterator_next(L);
  if (!owner || !owner->page || owner->page->count == 0) {
    lua_pushnil(L);
    return 1;
  }
  set_page(L, self, owner);
  return push_next(L, self);
}

/* The iterator goes on with a new userdata for the same page. */
static void renew_page(lua_State *L, lua_iterator *self) {
  lua_page *before = self->owner, *owner = new_page(L, before->loop);
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
static void part_with(lua_State *L, lua_page *owner) {
  lua_event *event = luaL_testudata(L, 2, EVENT_TYPE);
  if (!event || !owner || event->owner != owner || !owner->page || owner->page->count < 2) return;
  lua_page *alone = new_page(L, owner->loop);
  alone->page = pump_page_of_one(event->place);
  if (alone->page) {
    alone->size = pump_page_size(alone->page);
    owner->loop->page_bytes += alone->size;
    lua_getiuservalue(L, lua_upvalueindex(AT_SELF), 1);
    lua_getiuservalue(L, -1, 1);
    lua_setiuservalue(L, -3, 1);
    lua_pop(L, 1);
    event->owner = alone;
    event->place = alone->page->events;
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 2, 1);
  }
  lua_pop(L, 1);
}

static int iterator_next(lua_State *L) {
  lua_iterator *self = lua_touserdata(L, lua_upvalueindex(AT_SELF));
  const lua_page *owner = self->owner;
  if (owner && owner->page && owner->next < owner->page->count) {
    if (owner->next % SHARERS == 0 && owner->next > 0) renew_page(L, self);
    return push_next(L, self);
  }
  note_place(self);
  part_with(L, self->owner);
  lua_pushnil(L);
  set_page(L, self, NULL);
  lua_pushvalue(L, lua_upvalueindex(AT_MORE));
  /* It waits, so it may yield: that happens in Lua, and goes on in iterator_got_page. */
  lua_callk(L, 0, 1, 0, iterator_got_page);
  return iterator_got_page(L, LUA_OK, 0);
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
  luaL_getmetatable(L, EVENT_TYPE);
  lua_pushcclosure(L, iterator_next, 3);
  lua_insert(L, 2);
  return 2;
}

/* ---- Events ------------------------------------------------------------------------------- */

static lua_event *check_event_at(lua_State *L, int index) {
  lua_event *event = luaL_checkudata(L, index, EVENT_TYPE);
  if (!event->owner->page) luaL_error(L, "the event is gone");
  return event;
}

static lua_event *check_event(lua_State *L) {
  return check_event_at(L, 1);
}

const pump_event *pump_lua_check_event(lua_State *L, int index) {
  return check_event_at(L, index)->place;
}

/* What the fields are read from: the link for a link's own view and where the target is gone. */
static const pump_record *record_of(const lua_event *event) {
  static const pump_record nothing;
  const pump_event *place = event->place;
  const pump_record *record = event->is_link || !place->record ? place->link : place->record;
  return record ? record : &nothing;
}

static bool is_resolved(const lua_event *event) {
  return event->is_link || event->place->record != NULL;
}

static int push_bytes(lua_State *L, pump_bytes bytes) {
  lua_pushlstring(L, bytes.data ? bytes.data : "", bytes.size);
  return 1;
}

/* The same event seen as its link; the event is at index 1. */
static int push_link(lua_State *L, const lua_event *event) {
  lua_event *link = lua_newuserdatauv(L, sizeof *link, 1);
  *link = *event;
  link->is_link = true;
  lua_getiuservalue(L, 1, 1);
  lua_setiuservalue(L, -2, 1);
  lua_getmetatable(L, 1);
  lua_setmetatable(L, -2);
  return 1;
}

/* The upvalues of a field's look-up: the methods json and metadata_json, which are Lua's, and names
 * that were asked for. */
enum { AT_JSON = 1, AT_METADATA_JSON, AT_NAMES, NAMES = 8 };
#define LONGEST_NAME 256

static int push_event_number(lua_State *L, const lua_event *event) {
  const pump_record *link = event->place->link;
  lua_pushinteger(L, link ? link->number : record_of(event)->number);
  return 1;
}

static int push_id(lua_State *L, const pump_record *record) {
  char text[PUMP_GUID_TEXT + 1];
  pump_guid_format(&record->id, text);
  lua_pushlstring(L, text, PUMP_GUID_TEXT);
  return 1;
}

static int push_event_position(lua_State *L, const lua_event *event) {
  pump_position position = event->place->position;
  if (position.commit < 0)
    lua_pushnil(L);
  else
    push_position(L, position);
  return 1;
}

/* Types and streams: the same few again and again. Making a string that Lua has already costs a hash
 * of it, so the last ones are kept, each in the place that it happens to have. */
static int push_name(lua_State *L, pump_bytes name) {
  if (name.size == 0 || name.size > LONGEST_NAME) return push_bytes(L, name);
  unsigned place = (unsigned char)name.data[name.size - 1] + (unsigned)name.size;
  int upvalue = lua_upvalueindex(AT_NAMES + (int)(place % NAMES));
  size_t size;
  const char *kept = lua_tolstring(L, upvalue, &size);
  if (kept && size == name.size && memcmp(kept, name.data, size) == 0) {
    lua_pushvalue(L, upvalue);
    return 1;
  }
  lua_pushlstring(L, name.data, name.size);
  lua_pushvalue(L, -1);
  lua_replace(L, upvalue);
  return 1;
}

/* A field's first letter and length are all different, so one comparison makes sure. */
#define KEY(letter, size) ((unsigned)(letter) << 8 | (unsigned)(size))
#define IS(name)          (memcmp(key, name, sizeof name - 1) == 0)

static int event_index(lua_State *L) {
  const lua_event *event = lua_touserdata(L, 1);
  size_t size;
  const char *key = lua_tolstring(L, 2, &size);
  if (!key || size > 255) return 0;
  if (!event->owner->page) return luaL_error(L, "the event is gone");
  const pump_record *record = record_of(event);
  switch (KEY((unsigned char)key[0], size)) {
  case KEY('t', 4): return IS("type") ? push_name(L, record->type) : 0;
  case KEY('d', 4): return IS("data") && is_resolved(event) ? push_bytes(L, record->data) : 0;
  case KEY('e', 12): return IS("event_number") ? push_event_number(L, event) : 0;
  case KEY('s', 6): return IS("stream") ? push_name(L, record->stream) : 0;
  case KEY('i', 2): return IS("id") ? push_id(L, record) : 0;
  case KEY('m', 8):
    return IS("metadata") && is_resolved(event) ? push_bytes(L, record->metadata) : 0;
  case KEY('c', 7):
    if (!IS("created")) return 0;
    lua_pushnumber(L, (lua_Number)record->created / 1e6);
    return 1;
  case KEY('i', 7):
    if (!IS("is_json")) return 0;
    lua_pushboolean(L, is_resolved(event) && record->is_json);
    return 1;
  case KEY('p', 8): return IS("position") ? push_event_position(L, event) : 0;
  case KEY('l', 4):
    return IS("link") && !event->is_link && event->place->link ? push_link(L, event) : 0;
  case KEY('r', 14):
    if (!IS("received_event")) return 0;
    if (!event->is_link && event->place->link) return push_link(L, event);
    lua_pushvalue(L, 1);
    return 1;
  case KEY('r', 11):
    if (!IS("retry_count")) return 0;
    lua_pushinteger(L, event->place->retry_count);
    return 1;
  case KEY('r', 8):
    if (!IS("resolved")) return 0;
    lua_pushboolean(L, is_resolved(event));
    return 1;
  case KEY('j', 4): lua_pushvalue(L, lua_upvalueindex(AT_JSON)); return IS("json") ? 1 : 0;
  case KEY('m', 13):
    lua_pushvalue(L, lua_upvalueindex(AT_METADATA_JSON));
    return IS("metadata_json") ? 1 : 0;
  default: return 0;
  }
}

/* One event with itself: two reads of one page give two userdata. */
static int event_eq(lua_State *L) {
  const lua_event *a = luaL_testudata(L, 1, EVENT_TYPE);
  const lua_event *b = luaL_testudata(L, 2, EVENT_TYPE);
  lua_pushboolean(L, a && b && a->place == b->place && a->is_link == b->is_link);
  return 1;
}

static void show_data(pump_buffer *text, const pump_record *record) {
  size_t shown = record->data.size < SHOWN_DATA ? record->data.size : SHOWN_DATA;
  if (record->data.size == 0) return;
  if (!record->is_json) {
    pump_buffer_printf(text, " <%zu bytes>", record->data.size);
    return;
  }
  pump_buffer_byte(text, ' ');
  /* Never the first half of a character. */
  while (shown < record->data.size && shown > 0 && (record->data.data[shown] & 0xc0) == 0x80)
    shown--;
  for (size_t i = 0; i < shown; i++) {
    unsigned char byte = (unsigned char)record->data.data[i];
    pump_buffer_byte(text, byte < 32 || byte == 127 ? ' ' : byte);
  }
  if (shown < record->data.size) pump_buffer_text(text, "…");
}

static void show_name(pump_buffer *text, pump_bytes name) {
  for (size_t i = 0; i < name.size && i < SHOWN_NAME; i++) {
    unsigned char byte = (unsigned char)name.data[i];
    pump_buffer_byte(text, byte < 32 || byte == 127 ? '?' : byte);
  }
}

static void show_time(pump_buffer *text, int64_t created) {
  time_t seconds = (time_t)(created / 1000000);
  struct tm parts;
  char shown[32];
  if (created <= 0 || !gmtime_r(&seconds, &parts) ||
      strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
    return;
  pump_buffer_printf(text, " %s.%03dZ", shown, (int)(created / 1000 % 1000));
}

/* ponies/3 PonyJumped 2026-11-22T07:00:00.123Z {"Height":10} */
static int event_tostring(lua_State *L) {
  const lua_event *event = check_event(L);
  const pump_record *record = record_of(event);
  const pump_record *link = event->place->link;
  pump_buffer text;
  pump_buffer_init(&text);
  show_name(&text, record->stream);
  pump_buffer_printf(&text, "/%" PRId64 " ", record->number);
  show_name(&text, record->type);
  show_time(&text, record->created);
  if (is_resolved(event))
    show_data(&text, record);
  else
    pump_buffer_text(&text, " (a link to an event that is gone)");
  if (link && link != record) {
    pump_buffer_text(&text, " (by way of ");
    show_name(&text, link->stream);
    pump_buffer_printf(&text, "/%" PRId64 ")", link->number);
  }
  lua_pushlstring(L, text.failed ? EVENT_TYPE : (const char *)text.data,
                  text.failed ? sizeof EVENT_TYPE - 1 : text.size);
  pump_buffer_free(&text);
  return 1;
}

/* core.decoder(event) -> the function that its connection decodes JSON with, or nil */
static int core_decoder(lua_State *L) {
  check_event(L);
  lua_getiuservalue(L, 1, 1);
  lua_getiuservalue(L, -1, 1);
  return 1;
}

/* core.decode(event, of_metadata) -> the value of its JSON, straight from the page; nil, message,
 * offset; or nothing where there is no text, or another decoder is to be used */
static int core_decode(lua_State *L) {
  const lua_event *event = check_event(L);
  const pump_record *record = record_of(event);
  pump_bytes text = lua_toboolean(L, 2) ? record->metadata : record->data;
  lua_getiuservalue(L, 1, 1);
  if (!is_resolved(event) || text.size == 0 || lua_getiuservalue(L, -1, 1) != LUA_TNIL) return 0;
  const char *message;
  size_t offset;
  if (pump_lua_json_decode(L, text, &message, &offset) == 0) return 1;
  return pump_lua_json_refuse(L, message, offset);
}

/* core.event_methods(json, metadata_json): makes the metatable of events whole */
static int core_event_methods(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_getmetatable(L, EVENT_TYPE);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  for (int i = 0; i < NAMES; i++)
    lua_pushnil(L);
  lua_pushcclosure(L, event_index, AT_NAMES - 1 + NAMES);
  lua_setfield(L, -2, "__index");
  return 0;
}

/* core.is_event(value) */
static int core_is_event(lua_State *L) {
  lua_pushboolean(L, luaL_testudata(L, 1, EVENT_TYPE) != NULL);
  return 1;
}

/* core.page_bytes() -> the memory behind all pages that Lua has */
static int core_page_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)pump_lua_this_loop(L)->page_bytes);
  return 1;
}

void pump_lua_open_event(lua_State *L, int index) {
  static const luaL_Reg functions[] = {
      {"iterator", core_iterator}, {"reached", core_reached},
      {"leave", core_leave},       {"decode", core_decode},
      {"decoder", core_decoder},   {"event_methods", core_event_methods},
      {"is_event", core_is_event}, {NULL, NULL},
  };
  static const luaL_Reg page_methods[] = {
      {"count", page_count},
      {"event", page_event},
      {"events", page_events},
      {"bounds", page_bounds},
      {"positions", page_positions},
      {"set_decode", page_set_decode},
      {"__gc", page_gc},
      {NULL, NULL},
  };
  static const luaL_Reg event_methods[] = {
      {"__tostring", event_tostring},
      {"__eq", event_eq},
      {NULL, NULL},
  };
  lua_pushvalue(L, index);
  lua_pushcclosure(L, core_page_bytes, 1);
  lua_setfield(L, -2, "page_bytes");
  luaL_setfuncs(L, functions, 0);
  if (luaL_newmetatable(L, PAGE_TYPE)) {
    luaL_setfuncs(L, page_methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  if (luaL_newmetatable(L, EVENT_TYPE)) luaL_setfuncs(L, event_methods, 0);
  luaL_newmetatable(L, ITERATOR_TYPE);
  lua_pop(L, 3);
}

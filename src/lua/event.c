#include "lua/event.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "lua/json.h"
#include "lua/page.h"
#include "lua/type.h"

/* How much of its data an event shows as text, and how much of a stream's name. */
#define SHOWN_DATA 120
#define SHOWN_NAME 200

static pump_lua_event *check_event_at(lua_State *L, int index) {
  pump_lua_event *event = luaL_checkudata(L, index, PUMP_LUA_EVENT);
  if (!event->owner->page) luaL_error(L, "the event is gone");
  return event;
}

static pump_lua_event *check_event(lua_State *L) {
  return check_event_at(L, 1);
}

const pump_event *pump_lua_check_event(lua_State *L, int index) {
  return pump_lua_event_place(check_event_at(L, index));
}

/* What the fields are read from: the link for a link's own view and where the target is gone. */
static const pump_record *record_of(const pump_lua_event *event) {
  static const pump_record nothing;
  const pump_event *place = pump_lua_event_place(event);
  const pump_record *record = event->is_link || !place->record ? place->link : place->record;
  return record ? record : &nothing;
}

static bool is_resolved(const pump_lua_event *event) {
  return event->is_link || pump_lua_event_place(event)->record != NULL;
}

static int push_bytes(lua_State *L, pump_bytes bytes) {
  lua_pushlstring(L, bytes.data ? bytes.data : "", bytes.size);
  return 1;
}

/* The same event seen as its link; the event is at index 1. */
static int push_link(lua_State *L, const pump_lua_event *event) {
  pump_lua_event *link = lua_newuserdatauv(L, sizeof *link, 1);
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

static int push_event_number(lua_State *L, const pump_lua_event *event) {
  const pump_record *link = pump_lua_event_place(event)->link;
  lua_pushinteger(L, link ? link->number : record_of(event)->number);
  return 1;
}

static int push_id(lua_State *L, const pump_record *record) {
  char text[PUMP_GUID_TEXT + 1];
  pump_guid_format(&record->id, text);
  lua_pushlstring(L, text, PUMP_GUID_TEXT);
  return 1;
}

static void push_position(lua_State *L, pump_position position) {
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, position.commit);
  lua_setfield(L, -2, "commit");
  lua_pushinteger(L, position.prepare);
  lua_setfield(L, -2, "prepare");
}

static int push_event_position(lua_State *L, const pump_lua_event *event) {
  pump_position position = pump_lua_event_place(event)->position;
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
  const pump_lua_event *event = lua_touserdata(L, 1);
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
    return IS("link") && !event->is_link && pump_lua_event_place(event)->link ? push_link(L, event)
                                                                              : 0;
  case KEY('r', 14):
    if (!IS("received_event")) return 0;
    if (!event->is_link && pump_lua_event_place(event)->link) return push_link(L, event);
    lua_pushvalue(L, 1);
    return 1;
  case KEY('r', 11):
    if (!IS("retry_count")) return 0;
    lua_pushinteger(L, pump_lua_event_place(event)->retry_count);
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
  const pump_lua_event *a = luaL_testudata(L, 1, PUMP_LUA_EVENT);
  const pump_lua_event *b = luaL_testudata(L, 2, PUMP_LUA_EVENT);
  lua_pushboolean(L, a && b && a->is_link == b->is_link && a->owner->page && b->owner->page &&
                         pump_lua_event_place(a) == pump_lua_event_place(b));
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
  const pump_lua_event *event = check_event(L);
  const pump_record *record = record_of(event);
  const pump_record *link = pump_lua_event_place(event)->link;
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
  lua_pushlstring(L, text.failed ? PUMP_LUA_EVENT : (const char *)text.data,
                  text.failed ? sizeof PUMP_LUA_EVENT - 1 : text.size);
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
 * offset; or nothing where there is no text, another decoder is to be used, or it is no event */
static int core_decode(lua_State *L) {
  const pump_lua_event *event = luaL_testudata(L, 1, PUMP_LUA_EVENT);
  if (!event) return 0;
  if (!event->owner->page) return luaL_error(L, "the event is gone");
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
  luaL_getmetatable(L, PUMP_LUA_EVENT);
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
  lua_pushboolean(L, luaL_testudata(L, 1, PUMP_LUA_EVENT) != NULL);
  return 1;
}

void pump_lua_open_event(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"decode", core_decode},
      {"decoder", core_decoder},
      {"event_methods", core_event_methods},
      {"is_event", core_is_event},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {
      {"__tostring", event_tostring},
      {"__eq", event_eq},
      {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
  pump_lua_push_type(L, PUMP_LUA_EVENT, metamethods, NULL);
  lua_pop(L, 1);
}

/* Events on their way out: Lua tables become the array that pump_client_append takes. Of a list of
 * strings they are views of Lua's own, and libpump copies them once, into what it sends. From the
 * first JSON on all of it is in one buffer: encoding may run finalisers, and these may take out of
 * an event what was read already. A generator's events are added one by one to a batch of its own,
 * which keeps nothing of them that is Lua's: their tables die young, which is what the collector is
 * good at. */
#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "lua/client.h"
#include "lua/json.h"
#include "lua/type.h"

#define BATCH_TYPE "pump.batch"
/* Above this the buffer's memory is given back after use. */
#define KEPT_BODIES ((size_t)1024 * 1024)

/* The upvalues of append, and of the function that fills one batch: that batch stands where append
 * has its spare one, and the class of events that need no preparing behind the names. */
enum { AT_BATCH = 1, AT_TYPE, AT_ID, AT_METADATA, AT_DATA, AT_CONTENT_TYPE, AT_CLASS };

/* ---- Memory ------------------------------------------------------------------------------- */

static int batch_gc(lua_State *L) {
  pump_lua_batch *batch = luaL_checkudata(L, 1, BATCH_TYPE);
  pump_buffer_free(&batch->bodies);
  free(batch->events);
  *batch = (pump_lua_batch){0};
  return 0;
}

void pump_lua_push_batch_upvalues(lua_State *L) {
  static const char *const names[] = {"type", "id", "metadata", "data", "content_type"};
  lua_pushnil(L);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    lua_pushstring(L, names[i]);
}

/* The spare one is taken out of its place while it is used: a finaliser that appends in between
 * makes another, and what an error throws away is collected. */
pump_lua_batch *pump_lua_take_batch(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(AT_BATCH));
  lua_pushnil(L);
  lua_replace(L, lua_upvalueindex(AT_BATCH));
  pump_lua_batch *batch = lua_touserdata(L, -1);
  if (!batch) {
    lua_pop(L, 1);
    batch = lua_newuserdatauv(L, sizeof *batch, 0);
    *batch = (pump_lua_batch){0};
    luaL_setmetatable(L, BATCH_TYPE);
  }
  batch->count = 0;
  batch->owns = false;
  batch->message = NULL;
  return batch;
}

void pump_lua_give_batch(lua_State *L, int index) {
  pump_lua_batch *batch = lua_touserdata(L, index);
  if (batch->bodies.capacity > KEPT_BODIES) pump_buffer_free(&batch->bodies);
  pump_buffer_clear(&batch->bodies);
  lua_pushvalue(L, index);
  lua_replace(L, lua_upvalueindex(AT_BATCH));
}

static int reserve(pump_lua_batch *batch, size_t count) {
  if (count <= batch->capacity) return 0;
  size_t capacity = batch->capacity ? batch->capacity : 64;
  while (capacity < count)
    capacity *= 2;
  pump_new_event *events = realloc(batch->events, capacity * sizeof *events);
  if (!events) return PUMP_ENOMEM;
  batch->events = events;
  batch->capacity = capacity;
  return 0;
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* Fields are taken raw: a string that only a metamethod holds would be gone before it is used. */
static int push_field(lua_State *L, int table, int name) {
  lua_pushvalue(L, lua_upvalueindex(name));
  return lua_rawget(L, table);
}

static void own_bytes(pump_lua_batch *batch, pump_bytes *bytes) {
  if (bytes->data) pump_buffer_append(&batch->bodies, bytes->data, bytes->size);
  bytes->data = NULL;
}

/* Takes over what was read so far, the event that is being read among it. */
static void own(pump_lua_batch *batch) {
  for (size_t i = 0; i <= batch->count; i++) {
    own_bytes(batch, &batch->events[i].type);
    own_bytes(batch, &batch->events[i].metadata);
    own_bytes(batch, &batch->events[i].data);
  }
  batch->owns = true;
}

/* What is on the top as bytes: those of a string, or JSON at the end of the buffer. That still moves,
 * so what lies in it has a size and no data until settle. (JSON text is never empty.) */
static int read_bytes(lua_State *L, pump_lua_batch *batch, pump_bytes *bytes) {
  int type = lua_type(L, -1);
  if (type == LUA_TNIL) return 0;
  if (type != LUA_TSTRING) {
    if (!batch->owns) own(batch);
    size_t start = batch->bodies.size;
    int status = pump_lua_json_encode(L, lua_gettop(L), &batch->bodies, &batch->message);
    bytes->size = batch->bodies.size - start;
    return status;
  }
  bytes->data = lua_tolstring(L, -1, &bytes->size);
  if (!batch->owns) return 0;
  own_bytes(batch, bytes);
  return batch->bodies.failed ? PUMP_ENOMEM : 0;
}

static int read_event(lua_State *L, pump_lua_batch *batch, int table, pump_new_event *event) {
  *event = (pump_new_event){0};
  if (push_field(L, table, AT_TYPE) != LUA_TSTRING) {
    batch->message = "the type of an event must be a string";
    return PUMP_EINVALID;
  }
  int status = read_bytes(L, batch, &event->type);
  if (status < 0) return status;
  bool has_id = push_field(L, table, AT_ID) != LUA_TNIL;
  pump_bytes id = {0};
  if (lua_type(L, -1) == LUA_TSTRING) id.data = lua_tolstring(L, -1, &id.size);
  if (has_id && (!id.data || pump_guid_parse(&event->id, id.data, id.size) < 0)) {
    batch->message = "the id of the event is not a UUID";
    return PUMP_EINVALID;
  }
  push_field(L, table, AT_METADATA);
  status = read_bytes(L, batch, &event->metadata);
  if (status < 0) return status;
  int type = push_field(L, table, AT_DATA);
  status = read_bytes(L, batch, &event->data);
  if (status < 0) return status;
  event->is_json = type != LUA_TNIL && type != LUA_TSTRING;
  if (push_field(L, table, AT_CONTENT_TYPE) == LUA_TSTRING)
    event->is_json = *lua_tostring(L, -1) == 'j';
  return 0;
}

static size_t event_bytes(const pump_new_event *event) {
  return event->type.size + event->data.size + event->metadata.size;
}

/* The buffer moves no more: what it has lies in it in the order of reading. */
static void settle(pump_lua_batch *batch) {
  const char *at = (const char *)batch->bodies.data;
  for (size_t i = 0; i < batch->count; i++) {
    pump_new_event *event = &batch->events[i];
    pump_bytes *parts[] = {&event->type, &event->metadata, &event->data};
    for (size_t k = 0; k < 3; k++) {
      if (parts[k]->size == 0 || !batch->owns) continue;
      parts[k]->data = at;
      at += parts[k]->size;
    }
  }
}

int pump_lua_read_batch(lua_State *L, pump_lua_batch *batch, int list, lua_Integer from,
                        lua_Integer to, size_t max_bytes) {
  size_t bytes = 0;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "no stack for an event");
  for (lua_Integer i = from; i <= to; i++) {
    int status = reserve(batch, batch->count + 1);
    if (status < 0) return status;
    pump_new_event *event = &batch->events[batch->count];
    if (lua_rawgeti(L, list, i) != LUA_TTABLE) {
      batch->message = "an event must be a table";
      return PUMP_EINVALID;
    }
    status = read_event(L, batch, top + 1, event);
    lua_settop(L, top);
    if (status < 0) return status;
    bytes += event_bytes(event);
    if (batch->count > 0 && bytes > max_bytes) break;
    batch->count++;
  }
  settle(batch);
  return 0;
}

/* ---- Batches that Lua fills --------------------------------------------------------------- */

/* Whether the text on the top is JSON. */
static bool is_json(lua_State *L) {
  pump_bytes text;
  text.data = lua_tolstring(L, -1, &text.size);
  pump_json_reader reader;
  pump_json_reader_init(&reader, text);
  return pump_json_check(&reader) == 0;
}

/* Whether the event at index 1 is as new_event made it, and what is said to be JSON is. */
static bool is_plain(lua_State *L) {
  if (!lua_getmetatable(L, 1)) return false;
  bool is_plain = lua_rawequal(L, -1, lua_upvalueindex(AT_CLASS));
  if (is_plain && push_field(L, 1, AT_CONTENT_TYPE) == LUA_TSTRING && *lua_tostring(L, -1) == 'j')
    is_plain = push_field(L, 1, AT_DATA) != LUA_TSTRING || is_json(L);
  lua_settop(L, 1);
  return is_plain;
}

/* Seconds of the clock of core.hrtime, some milliseconds ago: asked for with every event, so it has
 * to cost nothing. */
static double about_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* add(event, is_ready) -> how many bytes its batch has now, and about the time; or nil, code,
 * message; or nothing: it has to be made ready */
static int batch_add(lua_State *L) {
  pump_lua_batch *batch = lua_touserdata(L, lua_upvalueindex(AT_BATCH));
  bool is_ready = lua_toboolean(L, 2);
  lua_settop(L, 1);
  if (!is_ready && !is_plain(L)) return 0;
  batch->message = NULL;
  size_t before = batch->bodies.size;
  int status = reserve(batch, batch->count + 1);
  if (status == 0) status = read_event(L, batch, 1, &batch->events[batch->count]);
  if (status < 0) {
    batch->bodies.size = before; /* nothing of it may stand before the next one */
    return pump_lua_refuse(L, status, batch->message);
  }
  batch->count++;
  lua_pushinteger(L, (lua_Integer)batch->bodies.size);
  lua_pushnumber(L, about_now());
  return 2;
}

/* core.batch(class) -> a batch, and the function that adds to it. class is the metatable of events
 * that need no preparing, or false: all do. */
static int core_batch(lua_State *L) {
  lua_settop(L, 1);
  pump_lua_batch *batch = lua_newuserdatauv(L, sizeof *batch, 0);
  *batch = (pump_lua_batch){.owns = true};
  luaL_setmetatable(L, BATCH_TYPE);
  pump_lua_push_batch_upvalues(L);
  lua_pushvalue(L, 2);
  lua_replace(L, 3); /* in the place of the spare one */
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, batch_add, AT_CLASS);
  return 2;
}

/* batch:clear() */
static int batch_clear(lua_State *L) {
  pump_lua_batch *batch = luaL_checkudata(L, 1, BATCH_TYPE);
  if (batch->bodies.capacity > KEPT_BODIES) pump_buffer_free(&batch->bodies);
  pump_buffer_clear(&batch->bodies);
  batch->count = 0;
  return 0;
}

const pump_new_event *pump_lua_batch_part(lua_State *L, int index, size_t from, size_t max_bytes,
                                          size_t *count) {
  pump_lua_batch *batch = luaL_checkudata(L, index, BATCH_TYPE);
  luaL_argcheck(L, from < batch->count, index, "the batch has no such event");
  settle(batch);
  size_t bytes = event_bytes(&batch->events[from]), to = from + 1;
  while (to < batch->count && bytes + event_bytes(&batch->events[to]) <= max_bytes)
    bytes += event_bytes(&batch->events[to++]);
  *count = to - from;
  return &batch->events[from];
}

void pump_lua_open_batch(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"clear", batch_clear},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", batch_gc}, {NULL, NULL}};
  lua_pushcfunction(L, core_batch);
  lua_setfield(L, -2, "batch");
  pump_lua_push_type(L, BATCH_TYPE, metamethods, methods);
  lua_pop(L, 1);
}

/* Events on their way out: Lua tables become the array that pump_client_append takes. Strings are
 * views of Lua's own, JSON is written into one buffer, and libpump copies both once, into what it
 * sends. */
#include <lauxlib.h>
#include <stdlib.h>

#include "lua/client.h"
#include "lua/json.h"

#define BATCH_TYPE "pump.batch"
/* Above this the buffer's memory is given back after use. */
#define KEPT_BODIES ((size_t)1024 * 1024)

enum { AT_SPARE = 1, AT_TYPE, AT_ID, AT_METADATA, AT_DATA, AT_CONTENT_TYPE };

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
  if (luaL_newmetatable(L, BATCH_TYPE)) {
    lua_pushcfunction(L, batch_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    lua_pushstring(L, names[i]);
}

/* The spare one is taken out of its place while it is used: a finaliser that appends in between
 * makes another, and what an error throws away is collected. */
pump_lua_batch *pump_lua_take_batch(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(AT_SPARE));
  lua_pushnil(L);
  lua_replace(L, lua_upvalueindex(AT_SPARE));
  pump_lua_batch *batch = lua_touserdata(L, -1);
  if (!batch) {
    lua_pop(L, 1);
    batch = lua_newuserdatauv(L, sizeof *batch, 0);
    *batch = (pump_lua_batch){0};
    luaL_setmetatable(L, BATCH_TYPE);
  }
  batch->count = 0;
  batch->message = NULL;
  return batch;
}

void pump_lua_give_batch(lua_State *L, int index) {
  pump_lua_batch *batch = lua_touserdata(L, index);
  if (batch->bodies.capacity > KEPT_BODIES) pump_buffer_free(&batch->bodies);
  pump_buffer_clear(&batch->bodies);
  lua_pushvalue(L, index);
  lua_replace(L, lua_upvalueindex(AT_SPARE));
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

/* A field as bytes. JSON goes to the end of the buffer, which still moves: its bytes have a size
 * and no data until settle. (JSON text is never empty.) */
static int read_body(lua_State *L, pump_lua_batch *batch, int table, int name, pump_bytes *bytes) {
  int type = push_field(L, table, name);
  if (type == LUA_TNIL) return 0;
  if (type == LUA_TSTRING) {
    bytes->data = lua_tolstring(L, -1, &bytes->size);
    return 0;
  }
  size_t start = batch->bodies.size;
  int status = pump_lua_json_encode(L, lua_gettop(L), &batch->bodies, &batch->message);
  if (status < 0) return status;
  bytes->size = batch->bodies.size - start;
  return 0;
}

static int read_event(lua_State *L, pump_lua_batch *batch, int table, pump_new_event *event) {
  *event = (pump_new_event){0};
  if (push_field(L, table, AT_TYPE) != LUA_TSTRING) {
    batch->message = "the type of an event must be a string";
    return PUMP_EINVALID;
  }
  event->type.data = lua_tolstring(L, -1, &event->type.size);
  size_t size;
  push_field(L, table, AT_ID);
  const char *id = lua_tolstring(L, -1, &size);
  if (id && pump_guid_parse(&event->id, id, size) < 0) {
    batch->message = "the id of the event is not a UUID";
    return PUMP_EINVALID;
  }
  int status = read_body(L, batch, table, AT_METADATA, &event->metadata);
  if (status < 0) return status;
  status = read_body(L, batch, table, AT_DATA, &event->data);
  if (status < 0) return status;
  event->is_json = !event->data.data && event->data.size > 0;
  if (push_field(L, table, AT_CONTENT_TYPE) == LUA_TSTRING)
    event->is_json = *lua_tostring(L, -1) == 'j';
  return 0;
}

/* The buffer moves no more: JSON lies in it in the order of reading. */
static void settle(pump_lua_batch *batch) {
  const char *at = (const char *)batch->bodies.data;
  for (size_t i = 0; i < batch->count; i++) {
    pump_bytes *parts[] = {&batch->events[i].metadata, &batch->events[i].data};
    for (size_t k = 0; k < 2; k++) {
      if (parts[k]->data || parts[k]->size == 0) continue;
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
    bytes += event->type.size + event->data.size + event->metadata.size;
    if (batch->count > 0 && bytes > max_bytes) break;
    batch->count++;
  }
  settle(batch);
  return 0;
}

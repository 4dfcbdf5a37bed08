/* Events on their way out: Lua tables become the array that pump_client_append takes. Strings are
 * views of Lua's own, JSON is written into one buffer, and libpump copies both once, into what it
 * sends. */
#include <lauxlib.h>
#include <stdlib.h>

#include "lua/client.h"
#include "lua/json.h"

/* Above this the buffer's memory is given back after use. */
#define KEPT_BODIES (1024 * 1024)

static int reserve(pump_lua_loop *loop, size_t count) {
  if (count <= loop->event_capacity) return 0;
  size_t capacity = loop->event_capacity ? loop->event_capacity : 64;
  while (capacity < count)
    capacity *= 2;
  pump_new_event *events = realloc(loop->events, capacity * sizeof *events);
  if (!events) return PUMP_ENOMEM;
  loop->events = events;
  loop->event_capacity = capacity;
  return 0;
}

/* Fields are taken raw: a string that only a metamethod holds would be gone before it is used. */
static int raw_field(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, table);
}

/* A field as bytes. JSON goes to the end of the buffer, which still moves: its bytes have a size
 * and no data until settle. (JSON text is never empty.) */
static int read_body(lua_State *L, pump_lua_loop *loop, int table, const char *name,
                     pump_bytes *bytes, const char **message) {
  int type = raw_field(L, table, name);
  if (type == LUA_TNIL) return 0;
  if (type == LUA_TSTRING) {
    bytes->data = lua_tolstring(L, -1, &bytes->size);
    return 0;
  }
  size_t start = loop->bodies.size;
  int status = pump_lua_json_encode(L, lua_gettop(L), &loop->bodies, message);
  if (status < 0) return status;
  if (loop->bodies.failed) return PUMP_ENOMEM;
  bytes->size = loop->bodies.size - start;
  return 0;
}

static int read_event(lua_State *L, pump_lua_loop *loop, int table, pump_new_event *event,
                      const char **message) {
  *event = (pump_new_event){0};
  raw_field(L, table, "type");
  event->type.data = lua_tolstring(L, -1, &event->type.size);
  size_t size;
  raw_field(L, table, "id");
  const char *id = lua_tolstring(L, -1, &size);
  if (id && pump_guid_parse(&event->id, id, size) < 0) {
    *message = "the id of the event is not a UUID";
    return PUMP_EINVALID;
  }
  int status = read_body(L, loop, table, "metadata", &event->metadata, message);
  if (status < 0) return status;
  status = read_body(L, loop, table, "data", &event->data, message);
  if (status < 0) return status;
  const char *content_type =
      raw_field(L, table, "content_type") == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  event->is_json = content_type ? *content_type == 'j' : !event->data.data && event->data.size > 0;
  return 0;
}

/* The buffer moves no more: JSON lies in it in the order of reading. */
static void settle(pump_new_event *events, size_t count, const pump_buffer *bodies) {
  const char *at = (const char *)bodies->data;
  for (size_t i = 0; i < count; i++) {
    pump_bytes *parts[] = {&events[i].metadata, &events[i].data};
    for (size_t k = 0; k < 2; k++) {
      if (parts[k]->data || parts[k]->size == 0) continue;
      parts[k]->data = at;
      at += parts[k]->size;
    }
  }
}

int pump_lua_read_batch(lua_State *L, pump_lua_loop *loop, int list, lua_Integer from,
                        lua_Integer to, size_t max_bytes, pump_lua_batch *batch) {
  *batch = (pump_lua_batch){0};
  if (loop->bodies.capacity > KEPT_BODIES) pump_buffer_free(&loop->bodies);
  pump_buffer_clear(&loop->bodies);
  size_t bytes = 0;
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "no stack for an event");
  for (lua_Integer i = from; i <= to; i++) {
    int status = reserve(loop, batch->count + 1);
    if (status < 0) return status;
    pump_new_event *event = &loop->events[batch->count];
    if (lua_rawgeti(L, list, i) != LUA_TTABLE) {
      batch->message = "an event must be a table";
      return PUMP_EINVALID;
    }
    status = read_event(L, loop, lua_gettop(L), event, &batch->message);
    lua_settop(L, top);
    if (status < 0) return status;
    bytes += event->type.size + event->data.size + event->metadata.size;
    if (batch->count > 0 && bytes > max_bytes) break;
    batch->count++;
  }
  settle(loop->events, batch->count, &loop->bodies);
  return 0;
}

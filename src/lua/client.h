/* The client as Lua has it: its life in client.c, what it is asked in request.c; requests in,
 * tickets out. */
#ifndef PUMP_LUA_CLIENT_H
#define PUMP_LUA_CLIENT_H

#include <lauxlib.h>
#include <pump.h>
#include "base/buffer.h"
#include "lua/loop.h"
#include "lua/node.h"

#define PUMP_LUA_CLIENT "pump.client"

typedef struct pump_lua_client {
  pump_lua_child child;
  pump_client *client; /* NULL once it is being closed */
  pump_lua_node *node; /* what it connects through, or NULL */
  lua_Integer ticket;  /* under which its notices come */
} pump_lua_client;

/* The client at index 1, or NULL where it could not be made. */
static inline pump_lua_client *pump_lua_check_client(lua_State *L) {
  void **box = luaL_checkudata(L, 1, PUMP_LUA_CLIENT);
  return *box;
}

/* Adds the methods that ask something to the table on the top. */
void pump_lua_add_requests(lua_State *L);

/* Adds core.sequence to the table on the top. */
void pump_lua_open_sequence(lua_State *L);

/* The events of an append, in memory that Lua collects: reading them may raise for want of it. */
typedef struct pump_lua_batch {
  pump_new_event *events;
  size_t count;
  size_t capacity;
  pump_buffer bodies;  /* JSON, where the bodies are that are no strings; or all that it owns */
  bool owns;           /* its events are on their own, not views of what Lua has */
  const char *message; /* why reading failed, or NULL for the code's sentence */
} pump_lua_batch;

/* The upvalues of a function that reads batches: a batch to use again, and the names of fields. */
enum { PUMP_LUA_BATCH_UPVALUES = 6 };
void pump_lua_push_batch_upvalues(lua_State *L);
/* Pushes a batch to use, and gives it back from where it stands. */
pump_lua_batch *pump_lua_take_batch(lua_State *L);
void pump_lua_give_batch(lua_State *L, int index);
/* Reads the events from index `from` to `to` of the list at index `list`, but no more than fit
 * into max_bytes (the first always does). 0, or PUMP_E… and a message. */
int pump_lua_read_batch(lua_State *L, pump_lua_batch *batch, int list, lua_Integer from,
                        lua_Integer to, size_t max_bytes);
/* The batch at index, of those that Lua fills; its events from `from` (0 is the first) on, and how
 * many of them fit into max_bytes. */
const pump_new_event *pump_lua_batch_part(lua_State *L, int index, size_t from, size_t max_bytes,
                                          size_t *count);
/* Adds the function that makes such batches to the table on the top. */
void pump_lua_open_batch(lua_State *L);

/* Pushes a subscription that is none yet; then makes it one, which is on the top: what Lua gets of
 * it, itself and its ticket, or nil, code, message. */
void pump_lua_push_subscription(lua_State *L);
int pump_lua_subscribe(lua_State *L, pump_lua_loop *loop, pump_client *client, pump_bytes stream,
                       const pump_subscribe *subscribe, const pump_call *call);
void pump_lua_open_subscription(lua_State *L);

/* The same for a consumer of a group. */
void pump_lua_push_consumer(lua_State *L);
int pump_lua_consume(lua_State *L, pump_lua_loop *loop, pump_client *client, pump_bytes group,
                     pump_bytes stream, int32_t buffer_size, const pump_call *call);
void pump_lua_open_consumer(lua_State *L);

/* Adds its functions to the table on the top, with the loop at `index` as upvalue. */
void pump_lua_open_client(lua_State *L, int index);

#endif

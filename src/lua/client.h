/* The client and the embedded node as Lua has them: requests in, tickets out. */
#ifndef PUMP_LUA_CLIENT_H
#define PUMP_LUA_CLIENT_H

#include <lua.h>
#include <pump.h>
#include "lua/loop.h"

struct pump_node;

/* A node that a client may connect through, counted: the client keeps it until it is gone. */
typedef struct pump_lua_node {
  pump_lua_child child;
  struct pump_node *node; /* NULL once it is being closed */
  pump_lua_answer *closing;
  size_t references;
} pump_lua_node;

pump_lua_node *pump_lua_to_node(lua_State *L, int index);
void pump_lua_node_unref(pump_lua_node *node);
/* Methods of a node, in a file of their own. */
int pump_lua_node_faults(lua_State *L);
int pump_lua_node_set_faults(lua_State *L);
int pump_lua_node_drop(lua_State *L);

/* The events of an append: those from index `from` to `to` of the list at `list`, but no more
 * than fit into max_bytes (the first always does), as an array in the loop's memory that holds
 * until the next call. Raises nothing but for memory; 0 or PUMP_E…, with a message. */
typedef struct pump_lua_batch {
  size_t count;
  const char *message;
} pump_lua_batch;
int pump_lua_read_batch(lua_State *L, pump_lua_loop *loop, int list, lua_Integer from,
                        lua_Integer to, size_t max_bytes, pump_lua_batch *batch);

/* Each adds its functions to the table on the top, with the loop at `index` as upvalue. */
void pump_lua_open_client(lua_State *L, int index);
void pump_lua_open_node(lua_State *L, int index);

#endif

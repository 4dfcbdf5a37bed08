/* The embedded node as Lua has it. It is a module of its own, core_node.so, loaded when somebody
 * wants a node: SQLite and the HTTP server take longer to load than all the rest. */
#ifndef PUMP_LUA_NODE_H
#define PUMP_LUA_NODE_H

#include <lauxlib.h>

#include "lua/loop.h"

#define PUMP_LUA_NODE "pump.node"

struct pump_node;

/* A node that a client may connect through, counted: the client keeps it until it is gone. */
typedef struct pump_lua_node {
  pump_lua_child child;
  struct pump_node *node;         /* NULL once it is being closed */
  int (*open)(void *ud, int *fd); /* of pump_options; ud is this */
} pump_lua_node;

static inline pump_lua_node *pump_lua_to_node(lua_State *L, int index) {
  void **box = luaL_checkudata(L, index, PUMP_LUA_NODE);
  return *box;
}

/* Methods of a node, in a file of their own. */
int pump_lua_node_faults(lua_State *L);
int pump_lua_node_set_faults(lua_State *L);
int pump_lua_node_drop(lua_State *L);

#endif

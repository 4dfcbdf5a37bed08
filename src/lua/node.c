#include <lauxlib.h>
#include <pump_node.h>
#include <stdlib.h>

#include "lua/node.h"
#include "lua/options.h"
#include "lua/type.h"

static int open_socket(void *ud, int *fd) {
  const pump_lua_node *self = ud;
  return self->node ? pump_node_opener(self->node, fd) : PUMP_ECLOSED;
}

static void on_closed(void *ud) {
  pump_lua_child_closed(ud); /* its first member */
}

static void shut(pump_lua_child *child) {
  pump_lua_node *self = (pump_lua_node *)(void *)child; /* its first member */
  pump_node *node = self->node;
  self->node = NULL;
  if (node) pump_node_close(node, on_closed, self);
}

static void free_node(pump_lua_child *child) {
  free((pump_lua_node *)(void *)child); /* its first member */
}

static int node_gc(lua_State *L) {
  pump_lua_drop(luaL_checkudata(L, 1, PUMP_LUA_NODE));
  return 0;
}

/* options.users = { name = password }, as an array in memory that Lua collects. What are no strings is
 * left out: nobody would keep their texts. */
static void read_users(lua_State *L, pump_node_options *options) {
  if (lua_getfield(L, 1, "users") != LUA_TTABLE) return;
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    count++;
  pump_node_user *users = lua_newuserdatauv(L, count * sizeof *users + 1, 0);
  options->users = users;
  lua_insert(L, -2);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) continue;
    users[options->user_count].name = lua_tostring(L, -2);
    users[options->user_count++].password = lua_tostring(L, -1);
  }
}

/* core_node(options) -> node. Options are named as in pump_node_options, checked by the caller;
 * users is a table of names and passwords. Or nil, code, message. */
static int core_node(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = pump_lua_text_option(L, 1, "file");
  options.listen = pump_lua_text_option(L, 1, "listen");
  options.http = pump_lua_text_option(L, 1, "http");
  options.tls_cert = pump_lua_text_option(L, 1, "tls_cert");
  options.tls_key = pump_lua_text_option(L, 1, "tls_key");
  options.tls_ca = pump_lua_text_option(L, 1, "tls_ca");
  const char *like = pump_lua_text_option(L, 1, "like");
  if (like) options.like = like;
  options.sync_normal = pump_lua_flag_option(L, 1, "sync_normal", false);
  options.insecure_listen = pump_lua_flag_option(L, 1, "insecure_listen", false);
  options.http_faults = pump_lua_flag_option(L, 1, "http_faults", false);
  read_users(L, &options);
  void **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, PUMP_LUA_NODE);
  pump_lua_node *self = calloc(1, sizeof *self);
  if (!self) return pump_lua_refuse(L, PUMP_ENOMEM, NULL);
  self->child.shut = shut;
  self->child.free = free_node;
  self->open = open_socket;
  pump_lua_adopt(loop, &self->child, box);
  char error[512] = "";
  int status = pump_node_new(&self->node, &loop->uv, &options, error, sizeof error);
  if (status < 0) return pump_lua_refuse(L, status, *error ? error : NULL);
  self->child.references++;
  return 1;
}

/* node:address() -> "127.0.0.1:1113", or nil when it does not listen */
static int node_address(lua_State *L) {
  const pump_lua_node *self = pump_lua_to_node(L, 1);
  lua_pushstring(L, self && self->node ? pump_node_address(self->node) : NULL);
  return 1;
}

/* node:http_address() -> "127.0.0.1:2113", or nil without HTTP */
static int node_http_address(lua_State *L) {
  const pump_lua_node *self = pump_lua_to_node(L, 1);
  lua_pushstring(L, self && self->node ? pump_node_http_address(self->node) : NULL);
  return 1;
}

/* node:version() -> "5.0.8.0" */
static int node_version(lua_State *L) {
  const pump_lua_node *self = pump_lua_to_node(L, 1);
  lua_pushstring(L, self && self->node ? pump_node_version(self->node) : NULL);
  return 1;
}

/* node:close() -> ticket, or nil when it is closing already */
static int node_close(lua_State *L) {
  pump_lua_node *self = pump_lua_to_node(L, 1);
  if (!self || !self->node) return 0;
  return pump_lua_close_child(L, &self->child);
}

/* The only name that the module exports. */
PUMP_API int luaopen_pump_core_node(lua_State *L);

int luaopen_pump_core_node(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"address", node_address},
      {"close", node_close},
      {"drop", pump_lua_node_drop},
      {"faults", pump_lua_node_faults},
      {"http_address", node_http_address},
      {"version", node_version},
      {"set_faults", pump_lua_node_set_faults},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", node_gc}, {NULL, NULL}};
  luaL_checkversion(L);
  pump_lua_push_type(L, PUMP_LUA_NODE, metamethods, methods);
  lua_pop(L, 1);
  if (lua_getfield(L, LUA_REGISTRYINDEX, PUMP_LUA_LOOP) != LUA_TUSERDATA)
    return luaL_error(L, "pump.core must be loaded before");
  lua_pushcclosure(L, core_node, 1);
  return 1;
}

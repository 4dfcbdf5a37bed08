#include "lua/members.h"

#include <lauxlib.h>

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

static void set_port(lua_State *L, const char *name, int port) {
  if (port > 0) set_integer(L, name, port);
}

static void set_boolean(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

static void push_member(lua_State *L, const pump_member *member) {
  lua_createtable(L, 0, 18);
  set_text(L, "instance_id", member->instance_id);
  set_text(L, "state", member->state);
  set_boolean(L, "is_alive", member->is_alive);
  set_boolean(L, "is_leader", member->is_leader);
  set_boolean(L, "is_read_only_replica", member->is_read_only_replica);
  set_text(L, "host", member->tcp_host);
  set_port(L, "port", member->tcp_port);
  set_port(L, "secure_port", member->secure_tcp_port);
  set_text(L, "http_host", member->http_host);
  set_port(L, "http_port", member->http_port);
  set_text(L, "version", member->version);
  set_integer(L, "last_commit_position", member->last_commit_position);
  set_integer(L, "writer_checkpoint", member->writer_checkpoint);
  set_integer(L, "chaser_checkpoint", member->chaser_checkpoint);
  set_integer(L, "epoch_position", member->epoch_position);
  set_integer(L, "epoch_number", member->epoch_number);
  set_integer(L, "node_priority", member->node_priority);
}

void pump_lua_push_members(lua_State *L, const pump_members *members) {
  lua_createtable(L, (int)members->count, 0);
  for (size_t i = 0; i < members->count; i++) {
    push_member(L, &members->members[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

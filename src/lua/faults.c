/* The faults of a node, as tables: times are seconds and codes their names. */
#include <lauxlib.h>
#include <pump_node.h>
#include <string.h>

#include "lua/node.h"
#include "lua/options.h"

static const int codes[] = {PUMP_ENOTREADY, PUMP_EBUSY, PUMP_ENOTLEADER};
static const char *const onlys[] = {NULL, "reads", "writes"};

static struct pump_node *node_of(lua_State *L) {
  const pump_lua_node *self = pump_lua_to_node(L, 1);
  return self ? self->node : NULL;
}

static void set_flag(lua_State *L, const char *name, bool value) {
  if (!value) return;
  lua_pushboolean(L, true);
  lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, lua_Number value) {
  if (value <= 0) return;
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* node:faults() -> what is set; nil when it is closed */
int pump_lua_node_faults(lua_State *L) {
  const struct pump_node *node = node_of(L);
  if (!node) return 0;
  pump_node_faults faults = pump_node_get_faults(node);
  lua_newtable(L);
  if (faults.not_handled != 0) set_text(L, "not_handled", pump_error_name(faults.not_handled));
  set_text(L, "leader", faults.leader);
  set_number(L, "delay", (lua_Number)faults.delay / 1000);
  set_flag(L, "silent", faults.silent);
  set_flag(L, "duplicate", faults.duplicate);
  set_flag(L, "one_byte", faults.one_byte);
  if (faults.cut) set_integer(L, "cut", (lua_Integer)faults.cut_at);
  set_text(L, "only", onlys[faults.only]);
  set_number(L, "chance", faults.chance);
  set_number(L, "duration", (lua_Number)faults.duration / 1000);
  if (faults.count > 0) set_integer(L, "count", faults.count);
  set_flag(L, "refuse", faults.refuse);
  set_text(L, "gossip", faults.gossip);
  return 1;
}

static lua_Number number_of(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  lua_Number value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

/* node:set_faults(table) -> true, or nil and a code. The table was checked by the caller. */
int pump_lua_node_set_faults(lua_State *L) {
  struct pump_node *node = node_of(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (!node) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  const char *code = pump_lua_text_option(L, 2, "not_handled"),
             *only = pump_lua_text_option(L, 2, "only");
  pump_node_faults faults = {
      .leader = pump_lua_text_option(L, 2, "leader"),
      .delay = (uint64_t)(number_of(L, "delay") * 1000 + 0.5),
      .duration = (uint64_t)(number_of(L, "duration") * 1000 + 0.5),
      .chance = number_of(L, "chance"),
      .silent = pump_lua_flag_option(L, 2, "silent", false),
      .duplicate = pump_lua_flag_option(L, 2, "duplicate", false),
      .one_byte = pump_lua_flag_option(L, 2, "one_byte", false),
      .cut = pump_lua_flag_option(L, 2, "cut", false),
      .cut_at = (size_t)number_of(L, "cut"),
      .count = (unsigned)number_of(L, "count"),
      .refuse = pump_lua_flag_option(L, 2, "refuse", false),
      .gossip = pump_lua_text_option(L, 2, "gossip"),
  };
  for (size_t i = 0; code && i < sizeof codes / sizeof *codes; i++)
    if (strcmp(code, pump_error_name(codes[i])) == 0) faults.not_handled = codes[i];
  for (int i = PUMP_NODE_READS; only && i <= PUMP_NODE_WRITES; i++)
    if (strcmp(only, onlys[i]) == 0) faults.only = i;
  int status = pump_node_set_faults(node, &faults);
  if (status < 0) return pump_lua_refuse(L, status, NULL);
  lua_pushboolean(L, true);
  return 1;
}

/* node:drop() */
int pump_lua_node_drop(lua_State *L) {
  struct pump_node *node = node_of(L);
  if (node) pump_node_drop_connections(node);
  return 0;
}

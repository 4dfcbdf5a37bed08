/* src/lua/json.c as a module of its own, for its spec. */
#include "lua/json.h"

#include <pump.h>

PUMP_API int luaopen_pump_json_testing(lua_State *L);

int luaopen_pump_json_testing(lua_State *L) {
  return pump_lua_open_json(L);
}

/* pump.core: what the Lua part of pump is built on. Not for programs: it checks little, and its
 * functions change as pump needs them. */
#include <lauxlib.h>

#include "base/guid.h"
#include "lua/client.h"
#include "lua/event.h"
#include "lua/json.h"
#include "lua/loop.h"
#include "lua/page.h"
#include "lua/url.h"

/* core.guid() -> a new random UUID as text */
static int core_guid(lua_State *L) {
  pump_guid guid;
  int status = uv_random(NULL, NULL, guid.bytes, sizeof guid.bytes, 0, NULL);
  if (status < 0) return luaL_error(L, "no randomness: %s", uv_strerror(status));
  pump_guid_stamp(&guid);
  char text[PUMP_GUID_TEXT + 1];
  pump_guid_format(&guid, text);
  lua_pushlstring(L, text, PUMP_GUID_TEXT);
  return 1;
}

/* core.is_guid(text) */
static int core_is_guid(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  pump_guid guid;
  lua_pushboolean(L, pump_guid_parse(&guid, text, size) == 0);
  return 1;
}

/* core.sentences: a sentence for every code */
static void push_sentences(lua_State *L) {
  lua_newtable(L);
#define XX(name, number, text, sentence)                                                           \
  lua_pushstring(L, sentence);                                                                     \
  lua_setfield(L, -2, text);
  PUMP_ERROR_MAP(XX)
#undef XX
}

static void push_constants(lua_State *L) {
  static const struct {
    const char *name;
    lua_Integer value;
  } constants[] = {
      {"ANY", PUMP_ANY}, {"NO_STREAM", PUMP_NO_STREAM}, {"STREAM_EXISTS", PUMP_STREAM_EXISTS},
      {"END", PUMP_END}, {"MAX_PAGE", PUMP_MAX_PAGE},   {"MAX_FRAME", PUMP_MAX_FRAME},
  };
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
    lua_pushinteger(L, constants[i].value);
    lua_setfield(L, -2, constants[i].name);
  }
}

/* The only name that the module exports. */
PUMP_API int luaopen_pump_core(lua_State *L);

int luaopen_pump_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"guid", core_guid},
      {"is_guid", core_is_guid},
      {NULL, NULL},
  };
  luaL_checkversion(L);
  lua_settop(L, 0);
  pump_lua_push_loop(L);
  luaL_newlib(L, functions);
  pump_lua_open_loop(L, 1);
  pump_lua_open_event(L);
  pump_lua_open_page(L, 1);
  pump_lua_open_url(L);
  pump_lua_open_batch(L);
  pump_lua_open_client(L, 1);
  pump_lua_open_sequence(L);
  pump_lua_open_subscription(L);
  pump_lua_open_consumer(L);
  push_constants(L);
  push_sentences(L);
  lua_setfield(L, -2, "sentences");
  pump_lua_open_json(L);
  lua_setfield(L, -2, "json");
  lua_pushstring(L, pump_version());
  lua_setfield(L, -2, "version");
  return 1;
}

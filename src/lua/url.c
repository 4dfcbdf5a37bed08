/* core.parse_url and core.redact: pump_url as a Lua table. */
#include <lauxlib.h>

#include "base/url.h"
#include "lua/type.h"
#include "lua/url.h"

#define URL_TYPE "pump.url"

/* While its table is made a URL belongs to a userdata, as making it may raise. */
static int url_gc(lua_State *L) {
  pump_url **box = luaL_checkudata(L, 1, URL_TYPE);
  pump_url_free(*box);
  *box = NULL;
  return 0;
}

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void push_hosts(lua_State *L, const pump_url *url) {
  lua_createtable(L, (int)url->host_count, 0);
  for (size_t i = 0; i < url->host_count; i++) {
    lua_createtable(L, 0, 2);
    set_text(L, "host", url->hosts[i].name);
    lua_pushinteger(L, url->hosts[i].port);
    lua_setfield(L, -2, "port");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_url(lua_State *L, const pump_url *url) {
  static const char *const kinds[] = {"tcp", "discover", "grpc", "memory", "file"};
  lua_newtable(L);
  set_text(L, "kind", kinds[url->kind]);
  set_text(L, "scheme", url->scheme);
  set_text(L, "username", url->username);
  set_text(L, "password", url->password);
  set_text(L, "path", url->path);
  lua_pushboolean(L, url->tls);
  lua_setfield(L, -2, "tls");
  if (url->host_count > 0) {
    set_text(L, "host", url->hosts[0].name);
    lua_pushinteger(L, url->hosts[0].port);
    lua_setfield(L, -2, "port");
  }
  push_hosts(L, url);
  lua_setfield(L, -2, "hosts");
  lua_newtable(L);
  const char *key;
  const char *value;
  for (size_t at = 0; pump_url_next(url, &at, &key, &value);)
    set_text(L, key, value);
  lua_setfield(L, -2, "options");
}

/* core.parse_url(text) -> { kind, scheme, username, password, host, port, hosts, path, tls,
 * options }, where host and port are those of the first of hosts; or nil and one line */
static int core_parse_url(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  pump_url **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, URL_TYPE);
  char error[256] = "";
  if (pump_url_parse(box, text, error, sizeof error) < 0) {
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
  }
  push_url(L, *box);
  pump_url_free(*box);
  *box = NULL;
  return 1;
}

/* core.redact(text) -> the same URL without its password */
static int core_redact(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  pump_buffer shown;
  pump_buffer_init(&shown);
  pump_url_redact(&shown, text);
  lua_pushlstring(L, shown.failed ? "" : (const char *)shown.data, shown.failed ? 0 : shown.size);
  pump_buffer_free(&shown);
  return 1;
}

void pump_lua_open_url(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"parse_url", core_parse_url},
      {"redact", core_redact},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", url_gc}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  pump_lua_push_type(L, URL_TYPE, metamethods, NULL);
  lua_pop(L, 1);
}

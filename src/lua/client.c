#include "lua/client.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lua/options.h"
#include "lua/stats.h"
#include "lua/type.h"

static void free_client(pump_lua_child *child) {
  pump_lua_client *self = (pump_lua_client *)(void *)child; /* its first member */
  if (self->node) pump_lua_unref(&self->node->child);
  free(self);
}

/* ---- What libpump calls ------------------------------------------------------------------- */

static void on_log(void *ud, int level, const char *line, const pump_log_fields *fields) {
  const pump_lua_client *self = ud;
  pump_lua_notice_log(self->child.loop, self->ticket, level, line, fields);
}

static void on_connected(pump_client *client, void *ud) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_CONNECTED, 0, NULL);
}

static void on_reconnecting(pump_client *client, unsigned attempt, uint64_t delay, void *ud) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice_attempt(self->child.loop, self->ticket, attempt, delay);
}

static void on_ended(pump_client *client, int code, const char *reason, void *ud) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_CLOSED, code, reason);
}

static void on_disconnected(pump_client *client, int code, const char *reason, void *ud) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_DISCONNECTED, code, reason);
}

/* Where there is no memory the search ends by its deadline. */
static void on_choose(void *ud, pump_client *client, pump_members *members) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice_members(self->child.loop, self->ticket, members);
}

static void on_resolve(void *ud, pump_client *client, const char *host, int port) {
  const pump_lua_client *self = ud;
  (void)client;
  pump_lua_notice_address(self->child.loop, self->ticket, host, port);
}

static void on_closed(void *ud) {
  pump_lua_child_closed(ud); /* its first member */
}

/* ---- Making and closing ------------------------------------------------------------------- */

static void shut(pump_lua_child *child) {
  pump_lua_client *self = (pump_lua_client *)(void *)child; /* its first member */
  pump_client *client = self->client;
  self->client = NULL;
  if (client) pump_client_close(client, on_closed, self);
}

static void read_options(lua_State *L, pump_options *options) {
  pump_options_init(options);
  const char *host = pump_lua_text_option(L, 1, "host");
  if (host) options->host = host;
  options->port = (int)pump_lua_integer_option(L, 1, "port", options->port);
  options->seeds = pump_lua_text_option(L, 1, "seeds");
  options->username = pump_lua_text_option(L, 1, "username");
  options->password = pump_lua_text_option(L, 1, "password");
  options->name = pump_lua_text_option(L, 1, "name");
  options->tls.enable = pump_lua_flag_option(L, 1, "tls", false);
  options->tls.verify = pump_lua_flag_option(L, 1, "verify", true);
  options->tls.ca = pump_lua_text_option(L, 1, "ca");
  options->tls.cert = pump_lua_text_option(L, 1, "cert");
  options->tls.key = pump_lua_text_option(L, 1, "key");
  options->tls.server_name = pump_lua_text_option(L, 1, "server_name");
#define NUMBER(name, type)                                                                         \
  options->name = (type)pump_lua_integer_option(L, 1, #name, (lua_Integer)options->name)
  NUMBER(timeout, uint64_t);
  NUMBER(connect_timeout, uint64_t);
  NUMBER(heartbeat_interval, uint64_t);
  NUMBER(heartbeat_timeout, uint64_t);
  NUMBER(max_in_flight, unsigned);
  NUMBER(max_queued, unsigned);
  NUMBER(log_level, int);
  NUMBER(selector, int);
  NUMBER(gossip, int);
  NUMBER(reconnect_delay, uint64_t);
  NUMBER(reconnect_max_delay, uint64_t);
  NUMBER(reconnect_attempts, unsigned);
  NUMBER(retries, unsigned);
#undef NUMBER
  options->log = options->log_level > 0 ? on_log : NULL;
  options->choose = pump_lua_flag_option(L, 1, "choose", false) ? on_choose : NULL;
  options->resolve = pump_lua_flag_option(L, 1, "resolve", false) ? on_resolve : NULL;
}

/* core.client(options[, node]) -> client, ticket of its notices. Options are named as in
 * pump_options, checked by the caller; times are milliseconds. With choose = true the notice
 * "choose" asks for client:choose, with resolve = true "resolve" for client:resolved. Or nil, code,
 * message. */
static int core_client(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  pump_options options;
  read_options(L, &options);
  bool is_of_node = !lua_isnil(L, 2);
  pump_lua_node *node = is_of_node ? pump_lua_to_node(L, 2) : NULL;
  if (is_of_node && !node) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  void **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, PUMP_LUA_CLIENT);
  pump_lua_client *self = calloc(1, sizeof *self); /* from here on nothing may raise */
  if (!self) return pump_lua_refuse(L, PUMP_ENOMEM, NULL);
  self->child.shut = shut;
  self->child.free = free_client;
  self->ticket = ++loop->last_ticket;
  self->node = node;
  if (node) {
    node->child.references++;
    options.open = node->open;
    options.open_ud = node;
  }
  options.log_ud = options.choose_ud = options.resolve_ud = self;
  pump_lua_adopt(loop, &self->child, box);
  int status = pump_client_new(&self->client, &loop->uv, &options);
  if (status < 0) return pump_lua_refuse(L, status, NULL);
  self->child.references++;
  pump_client_on_connected(self->client, on_connected, self);
  pump_client_on_disconnected(self->client, on_disconnected, self);
  pump_client_on_reconnecting(self->client, on_reconnecting, self);
  pump_client_on_closed(self->client, on_ended, self);
  lua_pushinteger(L, self->ticket);
  return 2;
}

static int client_gc(lua_State *L) {
  pump_lua_drop(luaL_checkudata(L, 1, PUMP_LUA_CLIENT));
  return 0;
}

/* client:close() -> ticket, or nil when it is closing already */
static int client_close(lua_State *L) {
  pump_lua_client *self = pump_lua_check_client(L);
  if (!self || !self->client) return 0;
  return pump_lua_close_child(L, &self->child);
}

static int client_state(lua_State *L) {
  static const char *const names[] = {"new", "connecting", "connected", "reconnecting", "closed"};
  pump_lua_client *self = pump_lua_check_client(L);
  int state = self && self->client ? pump_client_state(self->client) : PUMP_STATE_CLOSED;
  lua_pushstring(L, names[state]);
  return 1;
}

static int client_endpoint(lua_State *L) {
  pump_lua_client *self = pump_lua_check_client(L);
  lua_pushstring(L, self && self->client ? pump_client_endpoint(self->client) : "");
  return 1;
}

/* core.stats([client]) -> a table of counters; all 0 where there is none, or none any more */
static int core_stats(lua_State *L) {
  const pump_lua_client *self = lua_isnoneornil(L, 1) ? NULL : pump_lua_check_client(L);
  pump_stats stats = {0};
  if (self && self->client) pump_client_stats(self->client, &stats);
  pump_lua_push_stats(L, &stats);
  return 1;
}

/* client:server_version() -> "5.0.8.0", or nil as long as nobody told */
static int client_server_version(lua_State *L) {
  const pump_lua_client *self = pump_lua_check_client(L);
  lua_pushstring(L, self && self->client ? pump_client_server_version(self->client) : NULL);
  return 1;
}

/* client:choose(number of a member[, why]): 0 for none. Nobody may be asking any more. */
static int client_choose(lua_State *L) {
  pump_lua_client *self = pump_lua_check_client(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  luaL_argcheck(L, number >= 0 && number <= INT_MAX, 2, "no member's number");
  int index = (int)number - 1;
  const char *why = luaL_optstring(L, 3, NULL);
  if (self && self->client) pump_client_choose(self->client, index, why);
  return 0;
}

/* client:resolved(host, port), or nothing: it cannot be reached. Nobody may be asking any more. */
static int client_resolved(lua_State *L) {
  pump_lua_client *self = pump_lua_check_client(L);
  const char *host = luaL_optstring(L, 2, NULL);
  int port = (int)luaL_optinteger(L, 3, 0);
  if (self && self->client) pump_client_resolved(self->client, host, port);
  return 0;
}

void pump_lua_open_client(lua_State *L, int index) {
  static const luaL_Reg methods[] = {
      {"server_version", client_server_version},
      {"choose", client_choose},
      {"resolved", client_resolved},
      {"state", client_state},
      {"endpoint", client_endpoint},
      {"close", client_close},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", client_gc}, {NULL, NULL}};
  lua_pushvalue(L, index);
  lua_pushcclosure(L, core_client, 1);
  lua_setfield(L, -2, "client");
  lua_pushcfunction(L, core_stats);
  lua_setfield(L, -2, "stats");
  pump_lua_push_type(L, PUMP_LUA_CLIENT, metamethods, methods);
  pump_lua_add_requests(L);
  lua_pop(L, 1);
}

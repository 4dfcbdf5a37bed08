#include "lua/client.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lua/node.h"
#include "lua/stats.h"

#define CLIENT_TYPE "pump.client"

typedef struct lua_client {
  pump_lua_child child;
  pump_client *client;      /* NULL once it is being closed */
  pump_lua_answer *closing; /* who wants to know that it is closed */
  pump_lua_node *node;      /* what it connects through, or NULL */
  lua_Integer ticket;       /* under which its notices come */
  size_t references;        /* the userdata's, and libpump's until it is closed */
} lua_client;

static void unref(pump_lua_child *child) {
  lua_client *self = (lua_client *)(void *)child; /* its first member */
  if (--self->references > 0) return;
  pump_lua_disown(&self->child);
  if (self->node) self->node->child.unref(&self->node->child);
  free(self);
}

static lua_client *check_client(lua_State *L) {
  void **box = luaL_checkudata(L, 1, CLIENT_TYPE);
  return *box;
}

/* ---- What libpump calls ------------------------------------------------------------------- */

static void on_log(void *ud, int level, const char *line) {
  const lua_client *self = ud;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_LOG, level, line);
}

static void on_connected(pump_client *client, void *ud) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_CONNECTED, 0, NULL);
}

static void on_reconnecting(pump_client *client, unsigned attempt, uint64_t delay, void *ud) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice_attempt(self->child.loop, self->ticket, attempt, delay);
}

static void on_ended(pump_client *client, int code, const char *reason, void *ud) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_CLOSED, code, reason);
}

static void on_disconnected(pump_client *client, int code, const char *reason, void *ud) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice(self->child.loop, self->ticket, PUMP_LUA_DISCONNECTED, code, reason);
}

/* Where there is no memory the search ends by its deadline. */
static void on_choose(void *ud, pump_client *client, pump_members *members) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice_members(self->child.loop, self->ticket, members);
}

static void on_resolve(void *ud, pump_client *client, const char *host, int port) {
  const lua_client *self = ud;
  (void)client;
  pump_lua_notice_address(self->child.loop, self->ticket, host, port);
}

static void on_closed(void *ud) {
  lua_client *self = ud;
  if (self->closing) pump_lua_answer_with(self->closing, NULL);
  self->closing = NULL;
  unref(&self->child);
}

static void on_result(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  pump_lua_answer_with(ud, result);
}

/* ---- Making and closing ------------------------------------------------------------------- */

static void shut(pump_lua_child *child) {
  lua_client *self = (lua_client *)(void *)child; /* its first member */
  pump_client *client = self->client;
  self->client = NULL;
  if (client) pump_client_close(client, on_closed, self);
}

static const char *string_option(lua_State *L, int table, const char *name) {
  /* The table keeps the string alive. */
  lua_getfield(L, table, name);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1);
  return text;
}

static lua_Integer integer_option(lua_State *L, int table, const char *name,
                                  lua_Integer otherwise) {
  int is_integer;
  lua_getfield(L, table, name);
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  lua_pop(L, 1);
  return is_integer ? value : otherwise;
}

static bool boolean_option(lua_State *L, int table, const char *name, bool otherwise) {
  bool value = lua_getfield(L, table, name) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static void read_options(lua_State *L, pump_options *options) {
  pump_options_init(options);
  const char *host = string_option(L, 1, "host");
  if (host) options->host = host;
  options->port = (int)integer_option(L, 1, "port", options->port);
  options->seeds = string_option(L, 1, "seeds");
  options->username = string_option(L, 1, "username");
  options->password = string_option(L, 1, "password");
  options->name = string_option(L, 1, "name");
  options->tls.enable = boolean_option(L, 1, "tls", false);
  options->tls.verify = boolean_option(L, 1, "verify", true);
  options->tls.ca = string_option(L, 1, "ca");
  options->tls.cert = string_option(L, 1, "cert");
  options->tls.key = string_option(L, 1, "key");
  options->tls.server_name = string_option(L, 1, "server_name");
#define NUMBER(name, type)                                                                         \
  options->name = (type)integer_option(L, 1, #name, (lua_Integer)options->name)
  NUMBER(timeout, uint64_t);
  NUMBER(connect_timeout, uint64_t);
  NUMBER(heartbeat_interval, uint64_t);
  NUMBER(heartbeat_timeout, uint64_t);
  NUMBER(max_in_flight, unsigned);
  NUMBER(max_queued, unsigned);
  NUMBER(log_level, int);
  NUMBER(selector, int);
  NUMBER(reconnect_delay, uint64_t);
  NUMBER(reconnect_max_delay, uint64_t);
  NUMBER(reconnect_attempts, unsigned);
  NUMBER(retries, unsigned);
#undef NUMBER
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
  void **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, CLIENT_TYPE);
  lua_client *self = calloc(1, sizeof *self);
  if (!self) return pump_lua_refuse(L, PUMP_ENOMEM, NULL);
  self->child.shut = shut;
  self->child.unref = unref;
  self->references = 1;
  self->ticket = ++loop->last_ticket;
  if (!lua_isnil(L, 2)) {
    self->node = pump_lua_to_node(L, 2);
    self->node->references++;
    options.open = self->node->open;
    options.open_ud = self->node;
  }
  options.log = options.log_level > 0 ? on_log : NULL;
  options.log_ud = self;
  options.choose = boolean_option(L, 1, "choose", false) ? on_choose : NULL;
  options.choose_ud = self;
  options.resolve = boolean_option(L, 1, "resolve", false) ? on_resolve : NULL;
  options.resolve_ud = self;
  pump_lua_adopt(loop, &self->child, box);
  int status = pump_client_new(&self->client, &loop->uv, &options);
  if (status < 0) return pump_lua_refuse(L, status, NULL);
  self->references++;
  pump_client_on_connected(self->client, on_connected, self);
  pump_client_on_disconnected(self->client, on_disconnected, self);
  pump_client_on_reconnecting(self->client, on_reconnecting, self);
  pump_client_on_closed(self->client, on_ended, self);
  lua_pushinteger(L, self->ticket);
  return 2;
}

static int client_gc(lua_State *L) {
  pump_lua_drop(luaL_checkudata(L, 1, CLIENT_TYPE));
  return 0;
}

/* A request: what it was answered at once, as Lua gets it. */
static int accepted(lua_State *L, pump_lua_answer *answer, int status) {
  if (status < 0) {
    pump_lua_break_promise(answer);
    return pump_lua_refuse(L, status, NULL);
  }
  lua_pushinteger(L, answer->ticket);
  return 1;
}

/* The client and an answer for a request to it, or NULL when it is refused already. */
static pump_client *begin(lua_State *L, pump_lua_kind kind, pump_lua_answer **answer) {
  lua_client *self = check_client(L);
  if (!self || !self->client) {
    pump_lua_refuse(L, PUMP_ECLOSED, NULL);
    return NULL;
  }
  *answer = pump_lua_promise(self->child.loop, kind);
  if (!*answer) {
    pump_lua_refuse(L, PUMP_ENOMEM, NULL);
    return NULL;
  }
  return self->client;
}

/* client:close() -> ticket, or nil when it is closing already */
static int client_close(lua_State *L) {
  lua_client *self = check_client(L);
  if (!self || !self->client) return 0;
  self->closing = pump_lua_promise(self->child.loop, PUMP_LUA_DONE);
  lua_Integer ticket = self->closing ? self->closing->ticket : 0;
  shut(&self->child);
  if (ticket == 0) return 0;
  lua_pushinteger(L, ticket);
  return 1;
}

static int client_state(lua_State *L) {
  static const char *const names[] = {"new", "connecting", "connected", "reconnecting", "closed"};
  lua_client *self = check_client(L);
  int state = self && self->client ? pump_client_state(self->client) : PUMP_STATE_CLOSED;
  lua_pushstring(L, names[state]);
  return 1;
}

static int client_endpoint(lua_State *L) {
  lua_client *self = check_client(L);
  lua_pushstring(L, self && self->client ? pump_client_endpoint(self->client) : "");
  return 1;
}

/* ---- Requests ----------------------------------------------------------------------------- */

static pump_bytes bytes_at(lua_State *L, int index) {
  size_t size = 0;
  const char *data = lua_isnoneornil(L, index) ? NULL : luaL_checklstring(L, index, &size);
  return (pump_bytes){data, size};
}

/* The last four arguments of every request: timeout in ms, username, password, require_leader. */
static pump_call call_at(lua_State *L, int index) {
  return (pump_call){
      .timeout = (uint64_t)luaL_optinteger(L, index, 0),
      .username = bytes_at(L, index + 1),
      .password = bytes_at(L, index + 2),
      .require_leader = lua_toboolean(L, index + 3),
  };
}

/* client:connect() -> ticket | nil, code, message; so do all that follow */
static int client_connect(lua_State *L) {
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(L, answer, pump_client_connect(client, on_result, answer));
}

/* client:ping(call…) */
static int client_ping(lua_State *L) {
  pump_call call = call_at(L, 2);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_PING, &answer);
  if (!client) return 3;
  return accepted(L, answer, pump_client_ping(client, &call, on_result, answer));
}

/* client:members(timeout) */
static int client_members(lua_State *L) {
  pump_call call = {.timeout = (uint64_t)luaL_optinteger(L, 2, 0)};
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_MEMBERS, &answer);
  if (!client) return 3;
  return accepted(L, answer, pump_client_members(client, &call, on_result, answer));
}

/* core.stats([client]) -> a table of counters; all 0 where there is none, or none any more */
static int core_stats(lua_State *L) {
  const lua_client *self = lua_isnoneornil(L, 1) ? NULL : check_client(L);
  pump_stats stats = {0};
  if (self && self->client) pump_client_stats(self->client, &stats);
  pump_lua_push_stats(L, &stats);
  return 1;
}

/* client:server_version() -> "5.0.8.0", or nil as long as nobody told */
static int client_server_version(lua_State *L) {
  const lua_client *self = check_client(L);
  lua_pushstring(L, self && self->client ? pump_client_server_version(self->client) : NULL);
  return 1;
}

/* client:ask_server_version(timeout) */
static int client_ask_server_version(lua_State *L) {
  pump_call call = {.timeout = (uint64_t)luaL_optinteger(L, 2, 0)};
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(L, answer, pump_client_ask_server_version(client, &call, on_result, answer));
}

/* client:choose(number of a member[, why]): 0 for none. Nobody may be asking any more. */
static int client_choose(lua_State *L) {
  lua_client *self = check_client(L);
  int index = (int)luaL_checkinteger(L, 2) - 1;
  const char *why = luaL_optstring(L, 3, NULL);
  if (self && self->client) pump_client_choose(self->client, index, why);
  return 0;
}

/* client:resolved(host, port), or nothing: it cannot be reached. Nobody may be asking any more. */
static int client_resolved(lua_State *L) {
  lua_client *self = check_client(L);
  const char *host = luaL_optstring(L, 2, NULL);
  int port = (int)luaL_optinteger(L, 3, 0);
  if (self && self->client) pump_client_resolved(self->client, host, port);
  return 0;
}

static int append(lua_client *self, pump_bytes stream, int64_t expected,
                  const pump_lua_batch *batch, const pump_call *call, pump_lua_answer **answer) {
  /* A finaliser may have closed the client while the events were read. */
  if (!self->client) return PUMP_ECLOSED;
  *answer = pump_lua_promise(self->child.loop, PUMP_LUA_APPEND);
  if (!*answer) return PUMP_ENOMEM;
  int status = pump_client_append(self->client, stream, expected, batch->events, batch->count, call,
                                  on_result, *answer);
  if (status < 0) pump_lua_break_promise(*answer);
  return status;
}

/* client:append(stream, expected, events, from, to, max_bytes, call…) -> ticket, how many of the
 * events from `from` on went into it */
static int client_append(lua_State *L) {
  lua_client *self = check_client(L);
  pump_bytes stream = bytes_at(L, 2);
  int64_t expected = luaL_checkinteger(L, 3);
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_Integer from = luaL_checkinteger(L, 5);
  lua_Integer to = luaL_checkinteger(L, 6);
  lua_Integer max_bytes = luaL_checkinteger(L, 7);
  pump_call call = call_at(L, 8);
  pump_lua_answer *answer;
  if (!self || !self->client) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  pump_lua_batch *batch = pump_lua_take_batch(L);
  int place = lua_gettop(L);
  int status = pump_lua_read_batch(L, batch, 4, from, to, (size_t)max_bytes);
  if (status < 0) {
    pump_lua_refuse(L, status, batch->message);
    pump_lua_give_batch(L, place);
    return 3;
  }
  size_t count = batch->count;
  status = append(self, stream, expected, batch, &call, &answer);
  pump_lua_give_batch(L, place);
  if (status < 0) return pump_lua_refuse(L, status, NULL);
  lua_pushinteger(L, answer->ticket);
  lua_pushinteger(L, (lua_Integer)count);
  return 2;
}

/* client:delete(stream, expected, hard, call…) */
static int client_delete(lua_State *L) {
  pump_bytes stream = bytes_at(L, 2);
  int64_t expected = luaL_checkinteger(L, 3);
  bool hard = lua_toboolean(L, 4);
  pump_call call = call_at(L, 5);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DELETE, &answer);
  if (!client) return 3;
  return accepted(L, answer,
                  pump_client_delete(client, stream, expected, hard, &call, on_result, answer));
}

/* client:read_event(stream, number, resolve_links, call…) */
static int client_read_event(lua_State *L) {
  pump_bytes stream = bytes_at(L, 2);
  int64_t number = luaL_checkinteger(L, 3);
  bool resolve_links = lua_toboolean(L, 4);
  pump_call call = call_at(L, 5);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_PAGE, &answer);
  if (!client) return 3;
  return accepted(
      L, answer,
      pump_client_read_event(client, stream, number, resolve_links, &call, on_result, answer));
}

/* client:read_stream(stream, from, max_count, backward, resolve_links, call…) */
static int client_read_stream(lua_State *L) {
  pump_bytes stream = bytes_at(L, 2);
  pump_read read = {
      .from = luaL_checkinteger(L, 3),
      .max_count = (int32_t)luaL_checkinteger(L, 4),
      .backward = lua_toboolean(L, 5),
      .resolve_links = lua_toboolean(L, 6),
  };
  pump_call call = call_at(L, 7);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_PAGE, &answer);
  if (!client) return 3;
  return accepted(L, answer,
                  pump_client_read_stream(client, stream, &read, &call, on_result, answer));
}

/* The filter at an index, none for nil: { by_type =, is_regex =, text… }. The list of its texts is
 * pushed. */
static pump_filter filter_at(lua_State *L, int index) {
  pump_filter filter = {0};
  if (lua_isnoneornil(L, index)) return filter;
  luaL_checktype(L, index, LUA_TTABLE);
  filter.count = (size_t)luaL_len(L, index);
  lua_getfield(L, index, "by_type");
  filter.by_type = lua_toboolean(L, -1);
  lua_getfield(L, index, "is_regex");
  filter.is_regex = lua_toboolean(L, -1);
  pump_bytes *texts = lua_newuserdatauv(L, filter.count * sizeof *texts, 0);
  filter.texts = texts;
  for (size_t i = 0; i < filter.count; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    texts[i] = bytes_at(L, -1); /* which the table keeps */
    lua_pop(L, 1);
  }
  return filter;
}

/* client:read_all(commit, prepare, max_count, backward, resolve_links, filter, call…) */
static int client_read_all(lua_State *L) {
  pump_read read = {
      .filter = filter_at(L, 7),
      .position = {luaL_checkinteger(L, 2), luaL_checkinteger(L, 3)},
      .max_count = (int32_t)luaL_checkinteger(L, 4),
      .backward = lua_toboolean(L, 5),
      .resolve_links = lua_toboolean(L, 6),
  };
  pump_call call = call_at(L, 8);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_PAGE, &answer);
  if (!client) return 3;
  return accepted(L, answer, pump_client_read_all(client, &read, &call, on_result, answer));
}

/* Settings under their names in pump_group_settings; the table keeps the strategy alive. */
static pump_group_settings settings_at(lua_State *L, int table) {
  pump_group_settings settings;
  pump_group_settings_init(&settings);
  luaL_checktype(L, table, LUA_TTABLE);
  settings.resolve_links = boolean_option(L, table, "resolve_links", settings.resolve_links);
  settings.record_statistics =
      boolean_option(L, table, "record_statistics", settings.record_statistics);
  const char *strategy = string_option(L, table, "strategy");
  if (strategy) settings.strategy = strategy;
#define NUMBER(name, type)                                                                         \
  settings.name = (type)integer_option(L, table, #name, (lua_Integer)settings.name)
  NUMBER(from, int64_t);
  NUMBER(message_timeout, uint64_t);
  NUMBER(live_buffer_size, int32_t);
  NUMBER(read_batch_size, int32_t);
  NUMBER(buffer_size, int32_t);
  NUMBER(max_retry_count, int32_t);
  NUMBER(checkpoint_after, uint64_t);
  NUMBER(checkpoint_min_count, int32_t);
  NUMBER(checkpoint_max_count, int32_t);
  NUMBER(subscriber_max_count, int32_t);
#undef NUMBER
  return settings;
}

/* client:create_group(group, stream, settings, call…) */
static int client_create_group(lua_State *L) {
  pump_bytes group = bytes_at(L, 2), stream = bytes_at(L, 3);
  pump_group_settings settings = settings_at(L, 4);
  pump_call call = call_at(L, 5);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(
      L, answer,
      pump_client_create_group(client, group, stream, &settings, &call, on_result, answer));
}

/* client:update_group(group, stream, settings, call…) */
static int client_update_group(lua_State *L) {
  pump_bytes group = bytes_at(L, 2), stream = bytes_at(L, 3);
  pump_group_settings settings = settings_at(L, 4);
  pump_call call = call_at(L, 5);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(
      L, answer,
      pump_client_update_group(client, group, stream, &settings, &call, on_result, answer));
}

/* client:delete_group(group, stream, call…) */
static int client_delete_group(lua_State *L) {
  pump_bytes group = bytes_at(L, 2), stream = bytes_at(L, 3);
  pump_call call = call_at(L, 4);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(L, answer,
                  pump_client_delete_group(client, group, stream, &call, on_result, answer));
}

/* client:consume(group, stream, buffer_size, call…) -> consumer, ticket of its notices */
static int client_consume(lua_State *L) {
  lua_client *self = check_client(L);
  pump_bytes group = bytes_at(L, 2), stream = bytes_at(L, 3);
  int32_t buffer_size = (int32_t)luaL_optinteger(L, 4, 0);
  pump_call call = call_at(L, 5);
  pump_lua_push_consumer(L);
  /* A finaliser may have closed the client meanwhile. */
  if (!self || !self->client) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  return pump_lua_consume(L, self->child.loop, self->client, group, stream, buffer_size, &call);
}

/* client:subscribe(stream, is_volatile, from, is_from_now, commit, prepare, resolve_links,
 * page_size, max_buffered, filter, call…) -> subscription, ticket of its notices */
static int client_subscribe(lua_State *L) {
  lua_client *self = check_client(L);
  pump_bytes stream = bytes_at(L, 2);
  pump_subscribe subscribe;
  pump_subscribe_init(&subscribe);
  subscribe.is_volatile = lua_toboolean(L, 3);
  subscribe.from = luaL_checkinteger(L, 4);
  subscribe.is_from_now = lua_toboolean(L, 5);
  subscribe.after = (pump_position){luaL_checkinteger(L, 6), luaL_checkinteger(L, 7)};
  subscribe.resolve_links = lua_toboolean(L, 8);
  subscribe.page_size = (int32_t)luaL_optinteger(L, 9, subscribe.page_size);
  subscribe.max_untaken = 2 * (size_t)subscribe.page_size;
  subscribe.max_buffered = (size_t)luaL_optinteger(L, 10, (lua_Integer)subscribe.max_buffered);
  subscribe.filter = filter_at(L, 11);
  pump_call call = call_at(L, 12);
  pump_lua_push_subscription(L);
  /* A finaliser may have closed the client meanwhile. */
  if (!self || !self->client) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  return pump_lua_subscribe(L, self->child.loop, self->client, stream, &subscribe, &call);
}

void pump_lua_open_client(lua_State *L, int index) {
  static const luaL_Reg methods[] = {
      {"connect", client_connect},
      {"ping", client_ping},
      {"members", client_members},
      {"server_version", client_server_version},
      {"ask_server_version", client_ask_server_version},
      {"choose", client_choose},
      {"delete", client_delete},
      {"resolved", client_resolved},
      {"read_event", client_read_event},
      {"read_stream", client_read_stream},
      {"read_all", client_read_all},
      {"subscribe", client_subscribe},
      {"create_group", client_create_group},
      {"update_group", client_update_group},
      {"delete_group", client_delete_group},
      {"consume", client_consume},
      {"state", client_state},
      {"endpoint", client_endpoint},
      {"close", client_close},
      {"__gc", client_gc},
      {NULL, NULL},
  };
  lua_pushvalue(L, index);
  lua_pushcclosure(L, core_client, 1);
  lua_setfield(L, -2, "client");
  lua_pushcfunction(L, core_stats);
  lua_setfield(L, -2, "stats");
  if (luaL_newmetatable(L, CLIENT_TYPE)) {
    luaL_setfuncs(L, methods, 0);
    pump_lua_push_batch_upvalues(L);
    lua_pushcclosure(L, client_append, PUMP_LUA_BATCH_UPVALUES);
    lua_setfield(L, -2, "append");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

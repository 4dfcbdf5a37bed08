/* What a client is asked from Lua. Every request ends in a ticket, or is refused at once. */
#include "base/bytes.h"
#include "lua/client.h"
#include "lua/options.h"
#include "lua/type.h"

#define SEQUENCE "pump.sequence"

static void on_result(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  pump_lua_answer_with(ud, result);
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
  pump_lua_client *self = pump_lua_check_client(L);
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

typedef int (*plain_question)(pump_client *client, const pump_call *call, pump_result_cb cb,
                              void *ud);

static int ask_plainly(lua_State *L, pump_lua_kind kind, plain_question ask) {
  pump_call call = call_at(L, 2);
  pump_lua_answer *answer;
  pump_client *client = begin(L, kind, &answer);
  if (!client) return 3;
  return accepted(L, answer, ask(client, &call, on_result, answer));
}

/* client:ping(call…) */
static int client_ping(lua_State *L) {
  return ask_plainly(L, PUMP_LUA_PING, pump_client_ping);
}

/* client:members(timeout) */
static int client_members(lua_State *L) {
  return ask_plainly(L, PUMP_LUA_MEMBERS, pump_client_members);
}

/* client:ask_server_version(timeout) */
static int client_ask_server_version(lua_State *L) {
  return ask_plainly(L, PUMP_LUA_DONE, pump_client_ask_server_version);
}

/* core.sequence() -> what has appends done one after the other */
static int core_sequence(lua_State *L) {
  pump_sequence **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, SEQUENCE);
  if (pump_sequence_new(box) != 0) return luaL_error(L, "out of memory");
  return 1;
}

static int sequence_gc(lua_State *L) {
  pump_sequence **box = luaL_checkudata(L, 1, SEQUENCE);
  pump_sequence_free(*box);
  *box = NULL;
  return 0;
}

void pump_lua_open_sequence(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", sequence_gc}, {NULL, NULL}};
  lua_pushcfunction(L, core_sequence);
  lua_setfield(L, -2, "sequence");
  pump_lua_push_type(L, SEQUENCE, metamethods, NULL);
  lua_pop(L, 1);
}

/* What is appended where, as Lua says it. */
typedef struct appending {
  pump_lua_client *self;
  pump_bytes stream;
  int64_t expected;
  pump_call call;
} appending;

static int append(lua_State *L, const appending *to, const pump_new_event *events, size_t count) {
  /* A finaliser may have closed the client while the events were read. */
  if (!to->self->client) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  pump_lua_answer *answer = pump_lua_promise(to->self->child.loop, PUMP_LUA_APPEND);
  if (!answer) return pump_lua_refuse(L, PUMP_ENOMEM, NULL);
  int status = pump_client_append(to->self->client, to->stream, to->expected, events, count,
                                  &to->call, on_result, answer);
  if (status < 0) {
    pump_lua_break_promise(answer);
    return pump_lua_refuse(L, status, NULL);
  }
  lua_pushinteger(L, answer->ticket);
  lua_pushinteger(L, (lua_Integer)count);
  return 2;
}

static int append_list(lua_State *L, const appending *to, int list, lua_Integer from,
                       lua_Integer last, size_t max_bytes) {
  pump_lua_batch *batch = pump_lua_take_batch(L);
  int place = lua_gettop(L);
  int status = pump_lua_read_batch(L, batch, list, from, last, max_bytes);
  int values = status < 0 ? pump_lua_refuse(L, status, batch->message)
                          : append(L, to, batch->events, batch->count);
  pump_lua_give_batch(L, place);
  return values;
}

/* client:append(stream, expected, events, from, to, max_bytes, call…, sequence) -> ticket, how many of
 * the events from `from` on went into it. events: a list, or a batch, of which all are meant. */
static int client_append(lua_State *L) {
  appending to = {.self = pump_lua_check_client(L),
                  .stream = bytes_at(L, 2),
                  .expected = luaL_checkinteger(L, 3),
                  .call = call_at(L, 8)};
  lua_Integer from = luaL_checkinteger(L, 5);
  lua_Integer last = luaL_checkinteger(L, 6);
  size_t max_bytes = (size_t)luaL_checkinteger(L, 7);
  if (!lua_isnoneornil(L, 12))
    to.call.sequence = *(pump_sequence **)luaL_checkudata(L, 12, SEQUENCE);
  if (!to.self || !to.self->client) return pump_lua_refuse(L, PUMP_ECLOSED, NULL);
  if (lua_istable(L, 4)) return append_list(L, &to, 4, from, last, max_bytes);
  size_t count;
  const pump_new_event *events = pump_lua_batch_part(L, 4, (size_t)from - 1, max_bytes, &count);
  return append(L, &to, events, count);
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
  filter.count = (size_t)lua_rawlen(L, index);
  lua_getfield(L, index, "by_type");
  filter.by_type = lua_toboolean(L, -1);
  lua_getfield(L, index, "is_regex");
  filter.is_regex = lua_toboolean(L, -1);
  pump_bytes *texts = lua_newuserdatauv(L, filter.count * sizeof *texts, 0);
  filter.texts = texts;
  for (size_t i = 0; i < filter.count; i++) {
    luaL_argcheck(L, lua_rawgeti(L, index, (lua_Integer)i + 1) == LUA_TSTRING, index, "no text");
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
  settings.resolve_links = pump_lua_flag_option(L, table, "resolve_links", settings.resolve_links);
  settings.record_statistics =
      pump_lua_flag_option(L, table, "record_statistics", settings.record_statistics);
  const char *strategy = pump_lua_text_option(L, table, "strategy");
  if (strategy) settings.strategy = strategy;
#define NUMBER(name, type)                                                                         \
  settings.name = (type)pump_lua_integer_option(L, table, #name, (lua_Integer)settings.name)
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

typedef int (*put_group)(pump_client *client, pump_bytes group, pump_bytes stream,
                         const pump_group_settings *settings, const pump_call *call,
                         pump_result_cb cb, void *ud);

static int with_settings(lua_State *L, put_group put) {
  pump_bytes group = bytes_at(L, 2), stream = bytes_at(L, 3);
  pump_group_settings settings = settings_at(L, 4);
  pump_call call = call_at(L, 5);
  pump_lua_answer *answer;
  pump_client *client = begin(L, PUMP_LUA_DONE, &answer);
  if (!client) return 3;
  return accepted(L, answer, put(client, group, stream, &settings, &call, on_result, answer));
}

/* client:create_group(group, stream, settings, call…) */
static int client_create_group(lua_State *L) {
  return with_settings(L, pump_client_create_group);
}

/* client:update_group(group, stream, settings, call…) */
static int client_update_group(lua_State *L) {
  return with_settings(L, pump_client_update_group);
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
  pump_lua_client *self = pump_lua_check_client(L);
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
  pump_lua_client *self = pump_lua_check_client(L);
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

void pump_lua_add_requests(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"connect", client_connect},
      {"ping", client_ping},
      {"members", client_members},
      {"ask_server_version", client_ask_server_version},
      {"delete", client_delete},
      {"read_event", client_read_event},
      {"read_stream", client_read_stream},
      {"read_all", client_read_all},
      {"subscribe", client_subscribe},
      {"create_group", client_create_group},
      {"update_group", client_update_group},
      {"delete_group", client_delete_group},
      {"consume", client_consume},
      {NULL, NULL},
  };
  luaL_setfuncs(L, methods, 0);
  pump_lua_push_batch_upvalues(L);
  lua_pushcclosure(L, client_append, PUMP_LUA_BATCH_UPVALUES);
  lua_setfield(L, -2, "append");
}

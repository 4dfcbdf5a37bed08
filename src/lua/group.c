/* Consumers of groups as Lua has them. */
#include <lauxlib.h>

#include "lua/client.h"
#include "lua/event.h"
#include "lua/type.h"

#define CONSUMER_TYPE "pump.core.consumer"

typedef struct lua_consumer {
  pump_lua_reporter reporter;
  pump_consumer *consumer; /* NULL once it is closed */
} lua_consumer;

/* ---- What libpump calls ------------------------------------------------------------------- */

static void close(lua_consumer *self) {
  pump_consumer *consumer = self->consumer;
  self->consumer = NULL;
  if (consumer) pump_consumer_close(consumer);
}

static void end_without_memory(lua_consumer *self) {
  pump_lua_reporter_end(&self->reporter,
                        &(pump_result){.status = PUMP_ENOMEM, .current_version = PUMP_UNKNOWN});
  close(self);
}

static void on_events(pump_consumer *consumer, pump_page *page, size_t first, void *ud) {
  lua_consumer *self = ud;
  (void)consumer;
  if (!pump_lua_notice_events(self->reporter.loop, self->reporter.ticket, page, first))
    end_without_memory(self);
}

static void tell(lua_consumer *self, pump_lua_kind kind, int code) {
  if (!pump_lua_notice(self->reporter.loop, self->reporter.ticket, kind, code, NULL))
    end_without_memory(self);
}

static void on_live(pump_consumer *consumer, void *ud) {
  (void)consumer;
  tell(ud, PUMP_LUA_LIVE, 0);
}

static void on_lost(pump_consumer *consumer, int code, void *ud) {
  (void)consumer;
  tell(ud, PUMP_LUA_LOST, code);
}

static void on_ended(pump_consumer *consumer, const pump_result *result, void *ud) {
  lua_consumer *self = ud;
  (void)consumer;
  pump_lua_reporter_end(&self->reporter, result);
  close(self);
}

/* ---- What Lua calls ----------------------------------------------------------------------- */

void pump_lua_push_consumer(lua_State *L) {
  lua_consumer *self = lua_newuserdatauv(L, sizeof *self, 0);
  *self = (lua_consumer){0};
  luaL_setmetatable(L, CONSUMER_TYPE);
}

int pump_lua_consume(lua_State *L, pump_lua_loop *loop, pump_client *client, pump_bytes group,
                     pump_bytes stream, int32_t buffer_size, const pump_call *call) {
  static const pump_consumer_events events = {on_events, on_live, on_lost, on_ended};
  lua_consumer *self = lua_touserdata(L, -1);
  int code = pump_lua_reporter_begin(&self->reporter, loop);
  if (code == 0)
    code = pump_client_consume(&self->consumer, client, group, stream, buffer_size, call, &events,
                               self);
  if (code == 0) {
    lua_pushinteger(L, self->reporter.ticket);
    return 2;
  }
  pump_lua_reporter_drop(&self->reporter);
  return pump_lua_refuse(L, code, NULL);
}

/* consumer:took(count) */
static int consumer_took(lua_State *L) {
  lua_consumer *self = luaL_checkudata(L, 1, CONSUMER_TYPE);
  lua_Integer count = luaL_checkinteger(L, 2);
  if (self->consumer && count > 0) pump_consumer_took(self->consumer, (size_t)count);
  return 0;
}

/* The ids of an event, or of a list of them, at index 2; in memory that is on the stack then. */
static const pump_guid *ids_at(lua_State *L, size_t *count) {
  bool is_list = lua_istable(L, 2);
  *count = is_list ? (size_t)lua_rawlen(L, 2) : 1;
  pump_guid *ids = lua_newuserdatauv(L, (*count ? *count : 1) * sizeof *ids, 0);
  for (size_t i = 0; i < *count; i++) {
    if (is_list) lua_rawgeti(L, 2, (lua_Integer)i + 1);
    ids[i] = pump_event_id(pump_lua_check_event(L, is_list ? -1 : 2));
    if (is_list) lua_pop(L, 1);
  }
  return ids;
}

static int answered(lua_State *L, int code) {
  if (code != 0) return pump_lua_refuse(L, code, NULL);
  lua_pushboolean(L, true);
  return 1;
}

/* consumer:ack(event or list) -> true | nil, code, message */
static int consumer_ack(lua_State *L) {
  lua_consumer *self = luaL_checkudata(L, 1, CONSUMER_TYPE);
  size_t count;
  const pump_guid *ids = ids_at(L, &count);
  return answered(L, self->consumer ? pump_consumer_ack(self->consumer, ids, count) : PUMP_ECLOSED);
}

/* consumer:nack(event or list, action[, why]) */
static int consumer_nack(lua_State *L) {
  static const char *const names[] = {"park", "retry", "skip", "stop", NULL}; /* from 1 on */
  lua_consumer *self = luaL_checkudata(L, 1, CONSUMER_TYPE);
  int action = luaL_checkoption(L, 3, NULL, names) + PUMP_NACK_PARK;
  size_t size, count;
  const char *text = luaL_optlstring(L, 4, "", &size);
  const pump_guid *ids = ids_at(L, &count);
  int code = PUMP_ECLOSED;
  if (self->consumer)
    code = pump_consumer_nack(self->consumer, ids, count, action, (pump_bytes){text, size});
  return answered(L, code);
}

static int consumer_state(lua_State *L) {
  static const char *const names[] = {"catching_up", "live", "reconnecting", "closed"};
  lua_consumer *self = luaL_checkudata(L, 1, CONSUMER_TYPE);
  int state = self->consumer ? pump_consumer_state(self->consumer) : PUMP_SUBSCRIPTION_CLOSED;
  lua_pushstring(L, names[state]);
  return 1;
}

/* consumer:close(), and what happens when it is collected: no last word comes then. */
static int consumer_close(lua_State *L) {
  lua_consumer *self = luaL_checkudata(L, 1, CONSUMER_TYPE);
  close(self);
  pump_lua_reporter_drop(&self->reporter);
  return 0;
}

void pump_lua_open_consumer(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"took", consumer_took},   {"ack", consumer_ack},     {"nack", consumer_nack},
      {"state", consumer_state}, {"close", consumer_close}, {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", consumer_close}, {NULL, NULL}};
  pump_lua_push_type(L, CONSUMER_TYPE, metamethods, methods);
  lua_pop(L, 1);
}

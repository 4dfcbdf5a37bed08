/* Subscriptions as Lua has them. */
#include <lauxlib.h>

#include "lua/client.h"
#include "lua/type.h"

#define SUBSCRIPTION_TYPE "pump.core.subscription"

typedef struct lua_subscription {
  pump_lua_reporter reporter;
  pump_subscription *subscription; /* NULL once it is closed */
} lua_subscription;

/* ---- What libpump calls ------------------------------------------------------------------- */

static void close(lua_subscription *self) {
  pump_subscription *subscription = self->subscription;
  self->subscription = NULL;
  if (subscription) pump_subscription_close(subscription);
}

/* Nothing is left out without a word. */
static void end_without_memory(lua_subscription *self) {
  pump_lua_reporter_end(&self->reporter,
                        &(pump_result){.status = PUMP_ENOMEM, .current_version = PUMP_UNKNOWN});
  close(self);
}

static void on_events(pump_subscription *subscription, pump_page *page, size_t first, void *ud) {
  lua_subscription *self = ud;
  (void)subscription;
  if (!pump_lua_notice_events(self->reporter.loop, self->reporter.ticket, page, first))
    end_without_memory(self);
}

static void on_live(pump_subscription *subscription, void *ud) {
  lua_subscription *self = ud;
  (void)subscription;
  if (!pump_lua_notice(self->reporter.loop, self->reporter.ticket, PUMP_LUA_LIVE, 0, NULL))
    end_without_memory(self);
}

static void on_gap(pump_subscription *subscription, int code, void *ud) {
  lua_subscription *self = ud;
  (void)subscription;
  if (!pump_lua_notice(self->reporter.loop, self->reporter.ticket, PUMP_LUA_GAP, code, NULL))
    end_without_memory(self);
}

static void on_checkpoint(pump_subscription *subscription, pump_position position, void *ud) {
  lua_subscription *self = ud;
  (void)subscription; /* where there is no memory for one the next one will do */
  pump_lua_notice_checkpoint(self->reporter.loop, self->reporter.ticket, position);
}

static void on_ended(pump_subscription *subscription, const pump_result *result, void *ud) {
  lua_subscription *self = ud;
  (void)subscription;
  pump_lua_reporter_end(&self->reporter, result);
  close(self);
}

/* ---- What Lua calls ----------------------------------------------------------------------- */

void pump_lua_push_subscription(lua_State *L) {
  lua_subscription *self = lua_newuserdatauv(L, sizeof *self, 0);
  *self = (lua_subscription){0};
  luaL_setmetatable(L, SUBSCRIPTION_TYPE);
}

int pump_lua_subscribe(lua_State *L, pump_lua_loop *loop, pump_client *client, pump_bytes stream,
                       const pump_subscribe *subscribe, const pump_call *call) {
  static const pump_subscription_events events = {on_events, on_live, on_gap, on_ended,
                                                  on_checkpoint};
  lua_subscription *self = lua_touserdata(L, -1);
  int code = pump_lua_reporter_begin(&self->reporter, loop);
  if (code == 0)
    code =
        pump_client_subscribe(&self->subscription, client, stream, subscribe, call, &events, self);
  if (code == 0) {
    lua_pushinteger(L, self->reporter.ticket);
    return 2;
  }
  pump_lua_reporter_drop(&self->reporter);
  return pump_lua_refuse(L, code, NULL);
}

/* subscription:took(count) */
static int subscription_took(lua_State *L) {
  lua_subscription *self = luaL_checkudata(L, 1, SUBSCRIPTION_TYPE);
  lua_Integer count = luaL_checkinteger(L, 2);
  if (self->subscription && count > 0) pump_subscription_took(self->subscription, (size_t)count);
  return 0;
}

static int subscription_state(lua_State *L) {
  static const char *const names[] = {"catching_up", "live", "reconnecting", "closed"};
  lua_subscription *self = luaL_checkudata(L, 1, SUBSCRIPTION_TYPE);
  int state =
      self->subscription ? pump_subscription_state(self->subscription) : PUMP_SUBSCRIPTION_CLOSED;
  lua_pushstring(L, names[state]);
  return 1;
}

/* subscription:close(), and what happens when it is collected: no last word comes then. */
static int subscription_close(lua_State *L) {
  lua_subscription *self = luaL_checkudata(L, 1, SUBSCRIPTION_TYPE);
  close(self);
  pump_lua_reporter_drop(&self->reporter);
  return 0;
}

void pump_lua_open_subscription(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"took", subscription_took},
      {"state", subscription_state},
      {"close", subscription_close},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", subscription_close}, {NULL, NULL}};
  pump_lua_push_type(L, SUBSCRIPTION_TYPE, metamethods, methods);
  lua_pop(L, 1);
}

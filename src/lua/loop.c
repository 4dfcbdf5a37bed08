#include "lua/loop.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua/members.h"
#include "lua/page.h"
#include "lua/type.h"

#define LOOP_TYPE  "pump.loop"
#define TIMER_TYPE "pump.timer"
/* The longest timer: a hundred years are for ever, and sums of them don't overflow. */
#define FOREVER 3155760000.0

#define container_of(pointer, type, member)                                                        \
  ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

typedef struct lua_timer {
  pump_heap_node node; /* key: nanoseconds of uv_hrtime */
  pump_lua_answer *answer;
} lua_timer;

/* ---- Timers ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* Sets the one uv timer to the first of ours. libuv counts whole milliseconds from a time that it
 * cached, and may be early by one: on_timer looks at the clock and comes here again. */
static void arm(pump_lua_loop *loop) {
  const pump_heap_node *first = pump_heap_first(&loop->timers);
  if (!first) {
    uv_timer_stop(&loop->timer);
    return;
  }
  uint64_t now = uv_hrtime();
  uint64_t wait = first->key > now ? (first->key - now + 999999) / 1000000 : 0;
  uv_update_time(&loop->uv);
  uv_timer_start(&loop->timer, on_timer, wait, 0);
}

static void on_timer(uv_timer_t *timer) {
  pump_lua_loop *loop = container_of(timer, pump_lua_loop, timer);
  uint64_t now = uv_hrtime();
  pump_heap_node *first;
  while ((first = pump_heap_first(&loop->timers)) && first->key <= now) {
    lua_timer *due = container_of(first, lua_timer, node);
    pump_heap_remove(&loop->timers, first);
    pump_lua_answer_with(due->answer, NULL);
    due->answer = NULL;
  }
  arm(loop);
}

/* core.after(seconds) -> ticket, timer */
static int core_after(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  lua_Number seconds = luaL_checknumber(L, 1);
  seconds = seconds > FOREVER ? FOREVER : seconds > 0 ? seconds : 0;
  lua_timer *timer = lua_newuserdatauv(L, sizeof *timer, 0);
  *timer = (lua_timer){0};
  luaL_setmetatable(L, TIMER_TYPE);
  timer->answer = pump_lua_promise(loop, PUMP_LUA_DONE);
  if (!timer->answer) return luaL_error(L, "out of memory");
  if (pump_heap_add(&loop->timers, &timer->node, uv_hrtime() + (uint64_t)(seconds * 1e9)) < 0) {
    pump_lua_break_promise(timer->answer);
    timer->answer = NULL;
    return luaL_error(L, "out of memory");
  }
  if (pump_heap_first(&loop->timers) == &timer->node) arm(loop);
  lua_pushinteger(L, timer->answer->ticket);
  lua_insert(L, -2);
  return 2;
}

/* timer:cancel(), and what happens when it is collected */
static int timer_cancel(lua_State *L) {
  lua_timer *timer = luaL_checkudata(L, 1, TIMER_TYPE);
  if (!timer->answer) return 0;
  pump_lua_loop *loop = timer->answer->loop;
  bool was_first = pump_heap_first(&loop->timers) == &timer->node;
  pump_heap_remove(&loop->timers, &timer->node);
  pump_lua_break_promise(timer->answer);
  timer->answer = NULL;
  if (was_first) arm(loop);
  return 0;
}

/* ---- Running ------------------------------------------------------------------------------ */

/* A program that does not ignore SIGPIPE would die of a peer that hung up before we noticed, and
 * its signals are not ours to set: the signal is held back while libuv writes, and taken. */
static int run(pump_lua_loop *loop, uv_run_mode mode) {
  static const struct timespec at_once;
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  int alive = uv_run(&loop->uv, mode);
  if (sigismember(&before, SIGPIPE)) return alive;
  while (sigtimedwait(&pipe, NULL, &at_once) > 0)
    continue;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return alive;
}

/* Waits as uv_run does, with one difference: a signal ends it. What a program does about ^C is a
 * debug hook of Lua, and runs only when Lua does; libuv would go on waiting. */
static void wait_for_events(pump_lua_loop *loop, lua_Number seconds) {
  struct pollfd fd = {.fd = uv_backend_fd(&loop->uv), .events = POLLIN};
  uv_update_time(&loop->uv);
  int timeout = uv_loop_alive(&loop->uv) ? uv_backend_timeout(&loop->uv) : 0;
  lua_Number most = ceil(seconds * 1e3);
  if (timeout < 0 || timeout > most) timeout = most < INT_MAX ? (int)most : INT_MAX;
  if (timeout != 0) poll(&fd, 1, timeout);
}

/* core.step([seconds]): one turn of libuv, before which it waits that long at most (nil: until
 * something happens, 0: not at all). It does not wait while answers wait to be taken. */
static int core_step(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  lua_Number seconds = luaL_optnumber(L, 1, FOREVER);
  if (!loop->first && seconds > 0) wait_for_events(loop, seconds);
  run(loop, UV_RUN_NOWAIT);
  return 0;
}

static int push_failure(lua_State *L, const pump_result *result) {
  lua_pushboolean(L, false);
  lua_pushstring(L, pump_error_name(result->status));
  lua_pushstring(L, result->message ? result->message : pump_error_sentence(result->status));
  lua_pushboolean(L, result->retryable);
  if (result->status == PUMP_EVERSION && result->current_version != PUMP_UNKNOWN)
    lua_pushinteger(L, result->current_version);
  else
    lua_pushnil(L);
  if (result->leader_host)
    lua_pushfstring(L, "%s:%d", result->leader_host, result->leader_port);
  else
    lua_pushnil(L);
  return 6;
}

static int push_events(lua_State *L, pump_lua_loop *loop, pump_result *result) {
  size_t first = (size_t)result->first_event_number, count = result->page->count - first;
  lua_pushliteral(L, "events");
  pump_lua_push_events(L, loop, &result->page, first);
  lua_pushinteger(L, (lua_Integer)count);
  return 3;
}

static void set_text(lua_State *L, const char *name, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void push_fields(lua_State *L, const pump_log_fields *fields) {
  lua_createtable(L, 0, 8);
  if (!fields) return;
  set_text(L, "code", fields->code ? pump_error_name(fields->code) : NULL);
  set_text(L, "address", fields->address);
  set_text(L, "operation", fields->operation);
  set_text(L, "correlation", fields->correlation);
  if (fields->attempt == 0) return;
  lua_pushinteger(L, fields->attempt);
  lua_setfield(L, -2, "attempt");
  lua_pushnumber(L, (lua_Number)fields->delay / 1e3);
  lua_setfield(L, -2, "delay");
}

/* What a notice brings, its name first; 0: it is none. */
static int push_notice(lua_State *L, pump_lua_answer *answer) {
  pump_result *result = &answer->result;
  const char *text = result->message ? result->message : "";
  switch (answer->kind) {
  case PUMP_LUA_CONNECTED: lua_pushliteral(L, "connected"); return 1;
  case PUMP_LUA_RECONNECTING:
    lua_pushliteral(L, "reconnecting");
    lua_pushinteger(L, result->first_event_number);
    lua_pushnumber(L, (lua_Number)result->elapsed_ns / 1e9);
    return 3;
  case PUMP_LUA_DISCONNECTED:
  case PUMP_LUA_CLOSED:
    lua_pushstring(L, answer->kind == PUMP_LUA_CLOSED ? "closed" : "disconnected");
    lua_pushstring(L, pump_error_name(result->status));
    lua_pushstring(L, text);
    return 3;
  case PUMP_LUA_LOG:
    lua_pushliteral(L, "log");
    lua_pushinteger(L, result->status);
    lua_pushstring(L, text);
    push_fields(L, answer->fields);
    return 4;
  case PUMP_LUA_EVENTS: return push_events(L, answer->loop, result);
  case PUMP_LUA_CHOOSE:
    lua_pushliteral(L, "choose");
    pump_lua_push_members(L, result->members);
    return 2;
  case PUMP_LUA_RESOLVE:
    lua_pushliteral(L, "resolve");
    lua_pushstring(L, text);
    lua_pushinteger(L, result->leader_port);
    return 3;
  case PUMP_LUA_LIVE: lua_pushliteral(L, "live"); return 1;
  case PUMP_LUA_GAP:
  case PUMP_LUA_LOST:
    lua_pushstring(L, answer->kind == PUMP_LUA_GAP ? "gap" : "lost");
    lua_pushstring(L, pump_error_name(result->status));
    return 2;
  case PUMP_LUA_CHECKPOINT:
    lua_pushliteral(L, "checkpoint");
    lua_pushinteger(L, result->position.commit);
    lua_pushinteger(L, result->position.prepare);
    return 3;
  case PUMP_LUA_ENDED: lua_pushliteral(L, "ended"); return 1 + push_failure(L, result);
  default: return 0;
  }
}

static int push_answer(lua_State *L, pump_lua_answer *answer) {
  pump_result *result = &answer->result;
  int count = push_notice(L, answer);
  if (count > 0) return count;
  if (result->status < 0) return push_failure(L, result);
  lua_pushboolean(L, true);
  switch (answer->kind) {
  case PUMP_LUA_MEMBERS: pump_lua_push_members(L, result->members); return 2;
  case PUMP_LUA_PING: lua_pushnumber(L, (lua_Number)result->elapsed_ns / 1e9); return 2;
  case PUMP_LUA_APPEND:
    lua_pushinteger(L, result->first_event_number);
    lua_pushinteger(L, result->last_event_number);
    lua_pushinteger(L, result->position.commit);
    lua_pushinteger(L, result->position.prepare);
    return 5;
  case PUMP_LUA_DELETE:
    lua_pushinteger(L, result->position.commit);
    lua_pushinteger(L, result->position.prepare);
    return 3;
  case PUMP_LUA_PAGE: pump_lua_push_page(L, answer->loop, &result->page); return 2;
  default: return 1;
  }
}

/* core.take() -> ticket, what came of it; nothing when there is no answer. Successes are true and
 * the values of their kind, failures false, code, message, retryable, current version, leader.
 * Pushing may raise for want of memory, and may run finalisers that take answers themselves: so
 * the answer leaves the queue before, and is freed when all of it has been pushed. */
static int core_take(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  pump_lua_answer *answer = loop->first;
  if (!answer) return 0;
  loop->first = answer->next;
  if (!loop->first) loop->last = NULL;
  answer->next = loop->taking;
  loop->taking = answer;
  lua_pushinteger(L, answer->ticket);
  int count = push_answer(L, answer);
  pump_lua_answer **at = &loop->taking;
  while (*at != answer)
    at = &(*at)->next;
  *at = answer->next;
  pump_lua_free_answer(answer);
  return 1 + count;
}

/* ---- For hosts ---------------------------------------------------------------------------- */

static int core_pollfd(lua_State *L) {
  lua_pushinteger(L, uv_backend_fd(&pump_lua_this_loop(L)->uv));
  return 1;
}

/* core.timeout() -> seconds until core.step(0) must be called though the descriptor is silent.
 * nil: no need. A loop with nothing to do says 0 in libuv, which would make a host spin; what was
 * asked for outside uv_run is not in epoll yet, and there libuv's 0 is right. */
static int core_timeout(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  uv_update_time(&loop->uv);
  int timeout = uv_backend_timeout(&loop->uv);
  if (loop->first)
    lua_pushnumber(L, 0);
  else if (timeout < 0 || !uv_loop_alive(&loop->uv))
    lua_pushnil(L);
  else
    lua_pushnumber(L, timeout / 1e3);
  return 1;
}

/* core.pending() -> tickets that Lua still gets an answer for */
static int core_pending(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  size_t count = loop->pending;
  for (const pump_lua_answer *answer = loop->first; answer; answer = answer->next)
    count++;
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

/* core.idle() -> whether no answer can come any more */
static int core_idle(lua_State *L) {
  pump_lua_loop *loop = pump_lua_this_loop(L);
  lua_pushboolean(L, loop->pending == 0 && !loop->first);
  return 1;
}

static void count_handle(uv_handle_t *handle, void *ud) {
  size_t *count = ud;
  const pump_lua_loop *loop = container_of(handle->loop, pump_lua_loop, uv);
  if (handle != (const uv_handle_t *)&loop->timer) (*count)++;
}

/* core.handles() -> libuv handles that are open, but for the loop's own timer */
static int core_handles(lua_State *L) {
  size_t count = 0;
  uv_walk(&pump_lua_this_loop(L)->uv, count_handle, &count);
  lua_pushinteger(L, (lua_Integer)count);
  return 1;
}

/* core.hrtime() -> seconds of a clock that never goes back */
static int core_hrtime(lua_State *L) {
  lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
  return 1;
}

/* ---- Beginning and end -------------------------------------------------------------------- */

static void free_answers(pump_lua_answer **first) {
  while (*first) {
    pump_lua_answer *answer = *first;
    *first = answer->next;
    pump_lua_free_answer(answer);
  }
}

static int loop_gc(lua_State *L) {
  pump_lua_loop *loop = luaL_checkudata(L, 1, LOOP_TYPE);
  if (!loop->open) return 0;
  loop->open = false;
  pump_lua_child *next;
  for (pump_lua_child *child = loop->children; child; child = next) {
    next = child->next;
    child->shut(child);
  }
  /* Timers whose userdata are still there find no answer in them. */
  pump_heap_node *first;
  while ((first = pump_heap_first(&loop->timers))) {
    lua_timer *timer = container_of(first, lua_timer, node);
    pump_heap_remove(&loop->timers, first);
    pump_lua_break_promise(timer->answer);
    timer->answer = NULL;
  }
  uv_close((uv_handle_t *)&loop->timer, NULL);
  while (run(loop, UV_RUN_DEFAULT) != 0) {
  }
  /* What finalisers made while the state was being closed is never finalised itself. A client
   * stands before the node that it has a reference to, so the first can always be dropped. */
  while (loop->children)
    pump_lua_drop(loop->children->box);
  uv_loop_close(&loop->uv);
  free_answers(&loop->first);
  free_answers(&loop->taking);
  loop->last = NULL;
  pump_heap_free(&loop->timers);
  return 0;
}

pump_lua_loop *pump_lua_push_loop(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", loop_gc}, {NULL, NULL}};
  if (lua_getfield(L, LUA_REGISTRYINDEX, PUMP_LUA_LOOP) == LUA_TUSERDATA)
    return lua_touserdata(L, -1);
  lua_pop(L, 1);
  pump_lua_loop *loop = lua_newuserdatauv(L, sizeof *loop, 0);
  *loop = (pump_lua_loop){0};
  pump_lua_push_type(L, LOOP_TYPE, metamethods, NULL);
  lua_pop(L, 1);
  pump_heap_init(&loop->timers);
  int status = uv_loop_init(&loop->uv);
  if (status < 0) luaL_error(L, "no event loop: %s", uv_strerror(status));
  uv_timer_init(&loop->uv, &loop->timer);
  loop->page_limit = PUMP_LUA_PAGE_LIMIT;
  loop->open = true;
  luaL_setmetatable(L, LOOP_TYPE);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, PUMP_LUA_LOOP);
  return loop;
}

void pump_lua_open_loop(lua_State *L, int index) {
  static const luaL_Reg functions[] = {
      {"after", core_after},     {"step", core_step},
      {"take", core_take},       {"pollfd", core_pollfd},
      {"timeout", core_timeout}, {"pending", core_pending},
      {"handles", core_handles}, {"hrtime", core_hrtime},
      {"idle", core_idle},       {NULL, NULL},
  };
  static const luaL_Reg timer_methods[] = {
      {"cancel", timer_cancel},
      {NULL, NULL},
  };
  static const luaL_Reg timer_metamethods[] = {
      {"__gc", timer_cancel},
      {NULL, NULL},
  };
  index = lua_absindex(L, index);
  lua_pushvalue(L, index);
  luaL_setfuncs(L, functions, 1);
  pump_lua_push_type(L, TIMER_TYPE, timer_metamethods, timer_methods);
  lua_pop(L, 1);
}

/* The loop of one lua_State: a private uv_loop_t, and the way from its callbacks to Lua.
 *
 * Whatever Lua asks for gets a ticket, a number. uv callbacks never enter Lua: they put an answer
 * into a queue, and Lua takes answers out when uv_run has returned. So no lua_State is stored
 * anywhere, nothing jumps through libuv, and a wait inside a wait is legal. */
#ifndef PUMP_LUA_LOOP_H
#define PUMP_LUA_LOOP_H

#include <lua.h>
#include <pump.h>
#include <uv.h>
#include "base/heap.h"

typedef enum pump_lua_kind {
  PUMP_LUA_DONE,         /* no values: a timer, a close, a connect */
  PUMP_LUA_PING,         /* seconds */
  PUMP_LUA_APPEND,       /* first and last event number, commit and prepare position */
  PUMP_LUA_DELETE,       /* commit and prepare position */
  PUMP_LUA_PAGE,         /* a page */
  PUMP_LUA_MEMBERS,      /* a list of members */
  PUMP_LUA_CONNECTED,    /* a notice, not an answer: "connected" */
  PUMP_LUA_DISCONNECTED, /* a notice: "disconnected", code, text */
  PUMP_LUA_RECONNECTING, /* a notice: "reconnecting", number of the attempt, seconds before it */
  PUMP_LUA_CLOSED,       /* a notice: "closed", code, text */
  PUMP_LUA_LOG,          /* a notice: "log", level, text, fields */
  PUMP_LUA_CHOOSE,       /* a notice: "choose", a list of members */
  PUMP_LUA_RESOLVE,      /* a notice: "resolve", host, port */
  PUMP_LUA_EVENTS,       /* a notice: "events", a page, how many of its events are new */
  PUMP_LUA_LIVE,         /* a notice: "live" */
  PUMP_LUA_GAP,          /* a notice: "gap", code */
  PUMP_LUA_LOST,         /* a notice: "lost", code */
  PUMP_LUA_CHECKPOINT,   /* a notice: "checkpoint", commit and prepare position */
  PUMP_LUA_ENDED         /* the last one: "ended", and a failure */
} pump_lua_kind;

/* What came of a ticket. Made when the ticket is given out, so that answering cannot fail. */
typedef struct pump_lua_answer {
  struct pump_lua_answer *next;
  struct pump_lua_loop *loop;
  lua_Integer ticket;
  pump_lua_kind kind;
  pump_result result;      /* message and leader_host are this answer's own copies */
  pump_log_fields *fields; /* of a line of the log; its texts are in the same allocation */
} pump_lua_answer;

/* What must be closed before the loop can be: clients and nodes. They outlive their userdata
 * until libuv lets go of them, so they have memory of their own and count references: one is the
 * userdata's, one that of what is open, until pump_lua_child_closed. */
typedef struct pump_lua_child {
  struct pump_lua_child *previous;
  struct pump_lua_child *next;
  struct pump_lua_loop *loop;
  void **box; /* the userdata that has a reference, NULL once it is finalised */
  size_t references;
  pump_lua_answer *closing;                   /* who wants to know that it is closed */
  void (*shut)(struct pump_lua_child *child); /* starts to close; fine when it has started */
  void (*free)(struct pump_lua_child *child); /* what it has, and itself */
} pump_lua_child;

typedef struct pump_lua_loop {
  uv_loop_t uv;
  uv_timer_t timer; /* the first of all timers */
  pump_heap timers;
  pump_lua_answer *first;
  pump_lua_answer *last;
  pump_lua_answer *taking; /* left the queue and are being pushed */
  pump_lua_child *children;
  lua_Integer last_ticket;
  size_t pending;    /* tickets without an answer */
  size_t page_bytes; /* behind the pages that Lua has */
  size_t page_limit; /* from there on Lua must collect */
  bool open;
} pump_lua_loop;

#define PUMP_LUA_PAGE_LIMIT ((size_t)2 * 1024 * 1024)

/* The name of the loop in the registry. */
#define PUMP_LUA_LOOP "pump.loop of this state"

/* Leaves the loop of this state on the stack, made when it is asked for first. */
pump_lua_loop *pump_lua_push_loop(lua_State *L);
/* The loop that every function of the module has as its first upvalue. Raises once it is gone,
 * which is only when the state is being closed. */
pump_lua_loop *pump_lua_this_loop(lua_State *L);

/* A new ticket, pushed as an integer when it was accepted. NULL: no memory. */
pump_lua_answer *pump_lua_promise(pump_lua_loop *loop, pump_lua_kind kind);
/* The request was not accepted after all. */
void pump_lua_break_promise(pump_lua_answer *answer);
/* It was taken. */
void pump_lua_free_answer(pump_lua_answer *answer);
/* Copies the result (NULL: success, nothing else to say) and queues the answer. */
void pump_lua_answer_with(pump_lua_answer *answer, const pump_result *result);
/* A notice under a ticket that stays: status is the code or level. False: there is no memory. */
bool pump_lua_notice(pump_lua_loop *loop, lua_Integer ticket, pump_lua_kind kind, int status,
                     const char *text);
/* A line of the log. What there is no memory for is left out. */
void pump_lua_notice_log(pump_lua_loop *loop, lua_Integer ticket, int level, const char *line,
                         const pump_log_fields *fields);
/* The attempt begins in so many ms. */
bool pump_lua_notice_attempt(pump_lua_loop *loop, lua_Integer ticket, unsigned attempt,
                             uint64_t delay);
/* client:resolved is wanted for this address. */
bool pump_lua_notice_address(pump_lua_loop *loop, lua_Integer ticket, const char *host, int port);
bool pump_lua_notice_events(pump_lua_loop *loop, lua_Integer ticket, pump_page *page, size_t first);
bool pump_lua_notice_checkpoint(pump_lua_loop *loop, lua_Integer ticket, pump_position position);
bool pump_lua_notice_members(pump_lua_loop *loop, lua_Integer ticket, pump_members *members);

/* Somebody who reports to Lua, by notices under one ticket, until the answer to it says that it is
 * over. */
typedef struct pump_lua_reporter {
  pump_lua_loop *loop;
  pump_lua_answer *last_word; /* made beforehand: for want of memory it can end, too */
  lua_Integer ticket;
} pump_lua_reporter;

/* PUMP_ENOMEM. */
int pump_lua_reporter_begin(pump_lua_reporter *reporter, pump_lua_loop *loop);
void pump_lua_reporter_end(pump_lua_reporter *reporter, const pump_result *result);
/* Ends it without a last word. */
void pump_lua_reporter_drop(pump_lua_reporter *reporter);

void pump_lua_adopt(pump_lua_loop *loop, pump_lua_child *child, void **box);
void pump_lua_unref(pump_lua_child *child);
/* Starts to close one that is open: what close() returns, a ticket, or nothing without memory. */
int pump_lua_close_child(lua_State *L, pump_lua_child *child);
/* Nothing of it is open any more. */
void pump_lua_child_closed(pump_lua_child *child);
/* What a child's userdata does when it is finalised. */
void pump_lua_drop(void **box);

/* What a request that was not accepted returns: nil, code, message. */
int pump_lua_refuse(lua_State *L, int status, const char *message);

/* Adds the loop's functions to the table on the top, with the loop at `index` as upvalue. */
void pump_lua_open_loop(lua_State *L, int index);

#endif

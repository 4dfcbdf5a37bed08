/* Tickets, and the children of a loop: what a module that offers things on the loop needs of it.
 * core.so and core_node.so each have a copy of this file, so it keeps nothing of its own. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "lua/loop.h"

pump_lua_loop *pump_lua_this_loop(lua_State *L) {
  pump_lua_loop *loop = lua_touserdata(L, lua_upvalueindex(1));
  if (!loop->open) luaL_error(L, "the Lua state is being closed");
  return loop;
}

/* ---- Tickets and answers ------------------------------------------------------------------ */

pump_lua_answer *pump_lua_promise(pump_lua_loop *loop, pump_lua_kind kind) {
  pump_lua_answer *answer = calloc(1, sizeof *answer);
  if (!answer) return NULL;
  answer->loop = loop;
  answer->kind = kind;
  answer->ticket = ++loop->last_ticket;
  loop->pending++;
  return answer;
}

void pump_lua_free_answer(pump_lua_answer *answer) {
  pump_page_unref(answer->result.page);
  pump_members_unref(answer->result.members);
  free((void *)(uintptr_t)answer->result.message);
  free((void *)(uintptr_t)answer->result.leader_host);
  free(answer->fields);
  free(answer);
}

void pump_lua_break_promise(pump_lua_answer *answer) {
  answer->loop->pending--;
  pump_lua_free_answer(answer);
}

static void enqueue(pump_lua_answer *answer) {
  pump_lua_loop *loop = answer->loop;
  if (loop->last)
    loop->last->next = answer;
  else
    loop->first = answer;
  loop->last = answer;
}

static char *copy_text(const char *text) {
  return text && *text ? strdup(text) : NULL;
}

void pump_lua_answer_with(pump_lua_answer *answer, const pump_result *result) {
  if (result) {
    answer->result = *result;
    answer->result.message = copy_text(result->message);
    answer->result.leader_host = copy_text(result->leader_host);
    answer->result.page = result->page ? pump_page_ref(result->page) : NULL;
    answer->result.members = result->members ? pump_members_ref(result->members) : NULL;
  }
  answer->loop->pending--;
  enqueue(answer);
}

static pump_lua_answer *new_notice(pump_lua_loop *loop, lua_Integer ticket, pump_lua_kind kind) {
  pump_lua_answer *answer = calloc(1, sizeof *answer);
  if (!answer) return NULL;
  answer->loop = loop;
  answer->kind = kind;
  answer->ticket = ticket;
  return answer;
}

bool pump_lua_notice(pump_lua_loop *loop, lua_Integer ticket, pump_lua_kind kind, int status,
                     const char *text) {
  pump_lua_answer *answer = new_notice(loop, ticket, kind);
  if (!answer) return false;
  answer->result.status = status;
  answer->result.message = copy_text(text);
  enqueue(answer);
  return true;
}

static size_t room_for(const char *text) {
  return text ? strlen(text) + 1 : 0;
}

static const char *put_text(char **to, const char *text) {
  if (!text) return NULL;
  char *copy = *to;
  *to += room_for(text);
  return strcpy(copy, text);
}

static pump_log_fields *copy_fields(const pump_log_fields *fields) {
  size_t room =
      room_for(fields->address) + room_for(fields->operation) + room_for(fields->correlation);
  pump_log_fields *copy = malloc(sizeof *copy + room);
  if (!copy) return NULL;
  char *to = (char *)(copy + 1);
  *copy = *fields;
  copy->address = put_text(&to, fields->address);
  copy->operation = put_text(&to, fields->operation);
  copy->correlation = put_text(&to, fields->correlation);
  return copy;
}

void pump_lua_notice_log(pump_lua_loop *loop, lua_Integer ticket, int level, const char *line,
                         const pump_log_fields *fields) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_LOG);
  if (!answer) return;
  answer->result.status = level;
  answer->result.message = copy_text(line);
  answer->fields = copy_fields(fields);
  enqueue(answer);
}

bool pump_lua_notice_attempt(pump_lua_loop *loop, lua_Integer ticket, unsigned attempt,
                             uint64_t delay) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_RECONNECTING);
  if (!answer) return false;
  answer->result.first_event_number = attempt;
  answer->result.elapsed_ns = delay * 1000000;
  enqueue(answer);
  return true;
}

bool pump_lua_notice_address(pump_lua_loop *loop, lua_Integer ticket, const char *host, int port) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_RESOLVE);
  if (!answer) return false;
  answer->result.message = copy_text(host);
  answer->result.leader_port = port;
  enqueue(answer);
  return true;
}

bool pump_lua_notice_events(pump_lua_loop *loop, lua_Integer ticket, pump_page *page,
                            size_t first) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_EVENTS);
  if (!answer) return false;
  answer->result.page = pump_page_ref(page);
  answer->result.first_event_number = (int64_t)first;
  enqueue(answer);
  return true;
}

bool pump_lua_notice_checkpoint(pump_lua_loop *loop, lua_Integer ticket, pump_position position) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_CHECKPOINT);
  if (!answer) return false;
  answer->result.position = position;
  enqueue(answer);
  return true;
}

bool pump_lua_notice_members(pump_lua_loop *loop, lua_Integer ticket, pump_members *members) {
  pump_lua_answer *answer = new_notice(loop, ticket, PUMP_LUA_CHOOSE);
  if (!answer) return false;
  answer->result.members = pump_members_ref(members);
  enqueue(answer);
  return true;
}

int pump_lua_reporter_begin(pump_lua_reporter *reporter, pump_lua_loop *loop) {
  *reporter = (pump_lua_reporter){loop, pump_lua_promise(loop, PUMP_LUA_ENDED), 0};
  if (!reporter->last_word) return PUMP_ENOMEM;
  reporter->ticket = reporter->last_word->ticket;
  return 0;
}

void pump_lua_reporter_end(pump_lua_reporter *reporter, const pump_result *result) {
  pump_lua_answer *last_word = reporter->last_word;
  reporter->last_word = NULL;
  if (last_word) pump_lua_answer_with(last_word, result);
}

void pump_lua_reporter_drop(pump_lua_reporter *reporter) {
  if (reporter->last_word) pump_lua_break_promise(reporter->last_word);
  reporter->last_word = NULL;
}

int pump_lua_refuse(lua_State *L, int status, const char *message) {
  lua_pushnil(L);
  lua_pushstring(L, pump_error_name(status));
  lua_pushstring(L, message ? message : pump_error_sentence(status));
  return 3;
}

/* ---- Children ----------------------------------------------------------------------------- */

void pump_lua_adopt(pump_lua_loop *loop, pump_lua_child *child, void **box) {
  child->loop = loop;
  child->references = 1;
  child->box = box;
  *box = child;
  child->previous = NULL;
  child->next = loop->children;
  if (loop->children) loop->children->previous = child;
  loop->children = child;
}

void pump_lua_unref(pump_lua_child *child) {
  if (--child->references > 0) return;
  if (child->previous)
    child->previous->next = child->next;
  else
    child->loop->children = child->next;
  if (child->next) child->next->previous = child->previous;
  child->free(child);
}

int pump_lua_close_child(lua_State *L, pump_lua_child *child) {
  child->closing = pump_lua_promise(child->loop, PUMP_LUA_DONE);
  lua_Integer ticket = child->closing ? child->closing->ticket : 0;
  child->shut(child);
  if (ticket == 0) return 0;
  lua_pushinteger(L, ticket);
  return 1;
}

void pump_lua_child_closed(pump_lua_child *child) {
  if (child->closing) pump_lua_answer_with(child->closing, NULL);
  child->closing = NULL;
  pump_lua_unref(child);
}

void pump_lua_drop(void **box) {
  pump_lua_child *child = *box;
  if (!child) return;
  *box = NULL;
  if (child->loop->open) child->shut(child);
  pump_lua_unref(child);
}

/* JSON for Lua: pump.json, and what other files of the binding need of it.
 *
 * These may raise Lua errors (memory, stack), so their callers own nothing that Lua does not know
 * of: a pump_buffer lives in a userdata with __gc. */
#ifndef PUMP_LUA_JSON_H
#define PUMP_LUA_JSON_H

#include <lua.h>
#include "base/buffer.h"

/* Leaves a table on the stack: decode, encode, null, array, array_mt. To be called once in a
 * state before the other functions are of use. */
int pump_lua_open_json(lua_State *L);

/* Appends the value at index to out, as JSON. On failure (PUMP_EJSON, PUMP_ENOMEM) out is as it
 * was, and *error is one line that says what can't be written and where (".lines[3].price"),
 * good until out is touched again. */
int pump_lua_json_encode(lua_State *L, int index, pump_buffer *out, const char **error);

/* Pushes the value that the text means. On failure (PUMP_EJSON) nothing is pushed, *error is a few
 * words and *offset the byte, counted from 1 as Lua does. */
int pump_lua_json_decode(lua_State *L, pump_bytes text, const char **error, size_t *offset);
/* What a function returns then: nil, one line, the byte. */
int pump_lua_json_refuse(lua_State *L, const char *error, size_t offset);

#endif

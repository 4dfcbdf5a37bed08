#include "lua/json.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/json.h"

/* Where the registry keeps the metatable that marks a table as an array. */
static const char array_mt_key;

static void push_array_mt(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mt_key);
}

/* ---- Decoding ----------------------------------------------------------------------------- */

/* A table is made when some of its values stand on the stack already: most are then made once,
 * in the right size. */
#define BATCH 64

typedef struct decoder {
  lua_State *L;
  int array_mt;
  pump_json_reader reader;
} decoder;

/* Apart, so that its buffer is not in the frame of everything nested. */
static __attribute__((noinline)) void push_escaped(lua_State *L, pump_bytes string) {
  luaL_Buffer buffer;
  char *to = luaL_buffinitsize(L, &buffer, string.size);
  luaL_pushresultsize(&buffer, pump_json_unescape(string, to));
}

static void push_string(decoder *d) {
  if (d->reader.escaped)
    push_escaped(d->L, d->reader.string);
  else
    lua_pushlstring(d->L, d->reader.string.data, d->reader.string.size);
}

static int decode_value(decoder *d, int token);

/* Moves the values above the table's place into it, count of them standing there already. */
static void flush_array(lua_State *L, int table, lua_Integer count) {
  int top = lua_gettop(L);
  if (count == 0) {
    lua_createtable(L, top - table, 0);
    lua_replace(L, table);
  }
  for (int i = table + 1; i <= top; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, table, ++count);
  }
  lua_settop(L, table);
}

static int decode_array(decoder *d) {
  lua_State *L = d->L;
  luaL_checkstack(L, BATCH + 4, "JSON");
  lua_pushnil(L);
  int table = lua_gettop(L);
  lua_Integer count = 0;
  for (;;) {
    int token = pump_json_next(&d->reader);
    bool end = token == PUMP_JSON_ARRAY_END;
    if (!end && decode_value(d, token) != 0) return PUMP_EJSON;
    int waiting = lua_gettop(L) - table;
    if (waiting == BATCH || (end && (waiting > 0 || count == 0))) {
      flush_array(L, table, count);
      count += waiting;
    }
    if (end) break;
  }
  lua_pushvalue(L, d->array_mt);
  lua_setmetatable(L, table);
  return 0;
}

static void flush_object(lua_State *L, int table) {
  int top = lua_gettop(L);
  if (lua_isnil(L, table)) {
    lua_createtable(L, 0, (top - table) / 2);
    lua_replace(L, table);
  }
  for (int i = table + 1; i < top; i += 2) {
    lua_pushvalue(L, i);
    lua_pushvalue(L, i + 1);
    lua_rawset(L, table);
  }
  lua_settop(L, table);
}

static int decode_object(decoder *d) {
  lua_State *L = d->L;
  luaL_checkstack(L, BATCH + 4, "JSON");
  lua_pushnil(L);
  int table = lua_gettop(L);
  for (;;) {
    int token = pump_json_next(&d->reader);
    if (token == PUMP_JSON_OBJECT_END) break;
    if (token < 0) return PUMP_EJSON;
    push_string(d);
    if (decode_value(d, pump_json_next(&d->reader)) != 0) return PUMP_EJSON;
    if (lua_gettop(L) - table == BATCH) flush_object(L, table);
  }
  flush_object(L, table);
  return 0;
}

/* Pushes the value that starts with token. On failure the stack is left as it may be. */
static int decode_value(decoder *d, int token) {
  lua_State *L = d->L;
  switch (token) {
  case PUMP_JSON_NULL: lua_pushlightuserdata(L, NULL); return 0;
  case PUMP_JSON_FALSE: lua_pushboolean(L, 0); return 0;
  case PUMP_JSON_TRUE: lua_pushboolean(L, 1); return 0;
  case PUMP_JSON_INTEGER: lua_pushinteger(L, d->reader.integer); return 0;
  case PUMP_JSON_FLOAT: lua_pushnumber(L, d->reader.number); return 0;
  case PUMP_JSON_STRING: push_string(d); return 0;
  case PUMP_JSON_ARRAY: return decode_array(d);
  case PUMP_JSON_OBJECT: return decode_object(d);
  default: return PUMP_EJSON;
  }
}

int pump_lua_json_decode(lua_State *L, pump_bytes text, const char **error, size_t *offset) {
  decoder d = {.L = L};
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, "JSON");
  push_array_mt(L);
  d.array_mt = top + 1;
  pump_json_reader_init(&d.reader, text);
  if (decode_value(&d, pump_json_next(&d.reader)) == 0 && pump_json_next(&d.reader) == 0) {
    lua_remove(L, d.array_mt);
    return 0;
  }
  lua_settop(L, top);
  *error = d.reader.message;
  *offset = d.reader.offset + 1;
  return PUMP_EJSON;
}

/* ---- Encoding ----------------------------------------------------------------------------- */

/* Where in the value we are, from the inside out. */
typedef struct place {
  const struct place *outer;
  size_t entry;      /* in an object, of the encoder's entries */
  lua_Integer index; /* in an array; 0 in an object */
  int depth;
} place;

typedef struct entry {
  pump_bytes key;
  int value; /* where it stands on the stack */
} entry;

typedef struct encoder {
  lua_State *L;
  pump_buffer *out;
  size_t start; /* what stood in out before */
  const char *error;
  int array_mt;
  /* The entries of all objects that are being written, each object's behind its outer one's. They
   * move into a userdata in the stack slot `anchor` when they are many. */
  entry *entries;
  size_t count;
  size_t capacity;
  int anchor;
} encoder;

#define LONGEST_PATH 200
#define FEW_KEYS     16

/* pump_buffer_byte without a call, for what stands between all values. */
static void put_byte(pump_buffer *to, char byte) {
  if (to->size < to->capacity && !to->failed)
    to->data[to->size++] = (uint8_t)byte;
  else
    pump_buffer_byte(to, (uint8_t)byte);
}

static bool is_name(pump_bytes key) {
  for (size_t i = 0; i < key.size; i++) {
    char c = key.data[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return key.size > 0;
}

static void write_key(pump_buffer *to, pump_bytes key) {
  if (key.size > LONGEST_PATH / 2) {
    pump_buffer_text(to, "[a long key]");
  } else if (is_name(key)) {
    pump_buffer_byte(to, '.');
    pump_buffer_append(to, key.data, key.size);
  } else {
    pump_buffer_byte(to, '[');
    if (pump_json_write_string(to, key) != 0) pump_buffer_byte(to, '?');
    pump_buffer_byte(to, ']');
  }
}

static void write_path(const encoder *e, size_t start, const place *where) {
  pump_buffer *to = e->out;
  if (!where->outer) return;
  write_path(e, start, where->outer);
  if (to->size - start > LONGEST_PATH) return;
  if (where->index > 0)
    pump_buffer_printf(to, "[%lld]", (long long)where->index);
  else
    write_key(to, e->entries[where->entry].key);
  if (to->size - start > LONGEST_PATH) pump_buffer_text(to, "...");
}

/* The message is written where the text would have been. */
static int fail(encoder *e, const place *where, const char *message) {
  pump_buffer *out = e->out;
  pump_buffer_truncate(out, e->start);
  pump_buffer_text(out, message);
  if (where->outer) pump_buffer_text(out, ", at ");
  write_path(e, out->size, where);
  pump_buffer_byte(out, '\0');
  e->error = out->failed ? "out of memory" : (const char *)out->data + e->start;
  pump_buffer_truncate(out, e->start);
  return PUMP_EJSON;
}

static int fail_at_element(encoder *e, const place *where, lua_Integer index, const char *message) {
  place element = {.outer = where, .index = index};
  return fail(e, &element, message);
}

/* Whether the value on top of the stack is this field of a cjson that the program has loaded: its
 * forks have marks for arrays. */
static bool is_of_cjson(lua_State *L, const char *field) {
  static const char *const modules[] = {"cjson", "cjson.safe"};
  int top = lua_gettop(L);
  bool is = false;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (size_t i = 0; !is && i < sizeof modules / sizeof *modules; i++) {
    lua_pushstring(L, modules[i]);
    if (lua_rawget(L, top + 1) == LUA_TTABLE) {
      lua_pushstring(L, field);
      lua_rawget(L, -2);
      is = lua_rawequal(L, top, -1);
    }
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
  return is;
}

enum { UNMARKED, ARRAY, ARRAY_IF_EMPTY };

static int array_mark(const encoder *e, int table) {
  lua_State *L = e->L;
  if (!lua_getmetatable(L, table)) return UNMARKED;
  int mark = UNMARKED;
  if (lua_rawequal(L, -1, e->array_mt) || is_of_cjson(L, "array_mt"))
    mark = ARRAY;
  else if (is_of_cjson(L, "empty_array_mt"))
    mark = ARRAY_IF_EMPTY;
  lua_pop(L, 1);
  return mark;
}

static int encode_value(encoder *e, int index, const place *where);

/* The number of elements, where the keys are 1 to n and nothing else; else an error. */
static lua_Integer count_elements(encoder *e, int table, const place *where) {
  lua_State *L = e->L;
  lua_Integer count = 0, last = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
    if (key < 1)
      return fail(e, where, "a table with other keys than strings or 1 to n can't be JSON");
    if (key > last) last = key;
    count++;
  }
  if (last == count) return count;
  lua_Integer hole = 1;
  for (; lua_rawgeti(L, table, hole) != LUA_TNIL; hole++)
    lua_pop(L, 1);
  return fail_at_element(e, where, hole, "an array can't have a hole");
}

static int encode_array(encoder *e, int table, const place *where) {
  lua_State *L = e->L;
  lua_Integer count = count_elements(e, table, where);
  if (count < 0) return PUMP_EJSON;
  place element = {.outer = where, .depth = where->depth + 1};
  for (lua_Integer i = 1; i <= count; i++) {
    put_byte(e->out, i == 1 ? '[' : ',');
    lua_rawgeti(L, table, i);
    element.index = i;
    if (encode_value(e, lua_gettop(L), &element) != 0) return PUMP_EJSON;
    lua_pop(L, 1);
  }
  put_byte(e->out, ']');
  return 0;
}

static entry *new_entry(encoder *e) {
  if (e->count == e->capacity) {
    entry *more = lua_newuserdatauv(e->L, 2 * e->capacity * sizeof *more, 0);
    memcpy(more, e->entries, e->count * sizeof *more);
    lua_replace(e->L, e->anchor);
    e->entries = more;
    e->capacity *= 2;
  }
  return &e->entries[e->count++];
}

static int compare_entries(const void *a, const void *b) {
  const pump_bytes *left = &((const entry *)a)->key, *right = &((const entry *)b)->key;
  size_t size = left->size < right->size ? left->size : right->size;
  if (size > 0 && *left->data != *right->data) /* most keys */
    return (unsigned char)*left->data - (unsigned char)*right->data;
  int order = memcmp(left->data, right->data, size);
  return order ? order : (left->size > right->size) - (left->size < right->size);
}

/* Most objects have a handful of keys, which are sorted as they come. */
static void sort_entries(entry *entries, size_t count) {
  if (count > FEW_KEYS) {
    qsort(entries, count, sizeof *entries, compare_entries);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    entry moved = entries[i];
    size_t at = i;
    for (; at > 0 && compare_entries(&entries[at - 1], &moved) > 0; at--)
      entries[at] = entries[at - 1];
    entries[at] = moved;
  }
}

/* Puts all keys and values on the stack, and an entry for each in order of the keys. */
static int collect_entries(encoder *e, int table, const place *where) {
  lua_State *L = e->L;
  size_t first = e->count;
  lua_pushnil(L);
  for (int value = lua_gettop(L) + 1; lua_next(L, table); value += 2) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return fail(e, where, "a table with both strings and other keys can't be JSON");
    if ((e->count - first) % FEW_KEYS == 0 && !lua_checkstack(L, 2 * FEW_KEYS + 8))
      return fail(e, where, "a table with too many keys");
    entry *added = new_entry(e);
    added->value = value;
    added->key.data = lua_tolstring(L, -2, &added->key.size);
    lua_pushvalue(L, -2);
  }
  sort_entries(e->entries + first, e->count - first);
  return 0;
}

/* Keys are sorted: Lua gives them in an order that changes from run to run, and the same table
 * has to be the same bytes, for whoever compares, hashes or reads events. */
static int encode_object(encoder *e, int table, const place *where) {
  int top = lua_gettop(e->L);
  size_t first = e->count;
  if (collect_entries(e, table, where) != 0) return PUMP_EJSON;
  size_t end = e->count;
  place member = {.outer = where, .depth = where->depth + 1};
  for (size_t i = first; i < end; i++) {
    put_byte(e->out, i == first ? '{' : ',');
    member.entry = i;
    if (pump_json_write_string(e->out, e->entries[i].key) != 0)
      return fail(e, where, "a key that is not UTF-8 can't be JSON");
    put_byte(e->out, ':');
    if (encode_value(e, e->entries[i].value, &member) != 0) return PUMP_EJSON;
  }
  put_byte(e->out, '}');
  e->count = first;
  lua_settop(e->L, top);
  return 0;
}

static int encode_table(encoder *e, int table, const place *where) {
  lua_State *L = e->L;
  if (where->depth == PUMP_JSON_DEPTH)
    return fail(e, where, "a table nested more than 1000 deep (does it hold itself?)");
  if (!lua_checkstack(L, 16)) return fail(e, where, "no stack left for a table");
  int mark = array_mark(e, table);
  lua_pushnil(L);
  if (!lua_next(L, table)) {
    pump_buffer_text(e->out, mark == UNMARKED ? "{}" : "[]");
    return 0;
  }
  bool object = mark != ARRAY && lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return object ? encode_object(e, table, where) : encode_array(e, table, where);
}

static int encode_userdata(encoder *e, int index, const place *where) {
  lua_State *L = e->L;
  if (!lua_touserdata(L, index)) {
    pump_buffer_text(e->out, "null");
    return 0;
  }
  if (!lua_checkstack(L, 16)) return fail(e, where, "no stack left for a userdata");
  lua_pushvalue(L, index);
  bool empty = is_of_cjson(L, "empty_array");
  lua_pop(L, 1);
  if (!empty) return fail(e, where, "a userdata can't be JSON");
  pump_buffer_text(e->out, "[]");
  return 0;
}

static int encode_string(encoder *e, int index, const place *where) {
  pump_bytes string;
  string.data = lua_tolstring(e->L, index, &string.size);
  if (pump_json_write_string(e->out, string) != 0)
    return fail(e, where, "a string that is not UTF-8 can't be JSON");
  return 0;
}

static int encode_value(encoder *e, int index, const place *where) {
  lua_State *L = e->L;
  switch (lua_type(L, index)) {
  case LUA_TNIL: pump_buffer_text(e->out, "null"); return 0;
  case LUA_TBOOLEAN: pump_buffer_text(e->out, lua_toboolean(L, index) ? "true" : "false"); return 0;
  case LUA_TSTRING: return encode_string(e, index, where);
  case LUA_TTABLE: return encode_table(e, index, where);
  case LUA_TLIGHTUSERDATA: return encode_userdata(e, index, where);
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      pump_json_write_integer(e->out, lua_tointeger(L, index));
    else if (pump_json_write_float(e->out, lua_tonumber(L, index)) != 0)
      return fail(e, where, "NaN and infinities can't be JSON");
    return 0;
  default: {
    char message[64];
    snprintf(message, sizeof message, "a %s can't be JSON", luaL_typename(L, index));
    return fail(e, where, message);
  }
  }
}

int pump_lua_json_encode(lua_State *L, int index, pump_buffer *out, const char **error) {
  entry few[BATCH]; /* not a part of e, which is set whole */
  encoder e = {.L = L, .out = out, .start = out->size, .entries = few, .capacity = BATCH};
  *error = "out of memory";
  if (out->failed) return PUMP_ENOMEM;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 8, "JSON");
  int top = lua_gettop(L);
  push_array_mt(L);
  e.array_mt = top + 1;
  lua_pushnil(L);
  e.anchor = top + 2;
  place whole = {0};
  int status = encode_value(&e, index, &whole);
  lua_settop(L, top);
  if (status == 0 && out->failed) {
    pump_buffer_truncate(out, e.start);
    return PUMP_ENOMEM;
  }
  if (status != 0) *error = e.error;
  return status;
}

/* ---- The module --------------------------------------------------------------------------- */

#define BUFFER_MT   "pump.json.buffer"
#define KEEP_BUFFER (64 * 1024)

static int collect_buffer(lua_State *L) {
  pump_buffer_free(luaL_checkudata(L, 1, BUFFER_MT));
  return 0;
}

/* Encoding takes the spare buffer (upvalue 1) out of its place and puts it back when it is done:
 * a finalizer that encodes in between makes another, and what an error throws away is collected. */
static pump_buffer *take_buffer(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushnil(L);
  lua_replace(L, lua_upvalueindex(1));
  pump_buffer *buffer = lua_touserdata(L, -1);
  if (buffer) return buffer;
  lua_pop(L, 1);
  buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  pump_buffer_init(buffer);
  luaL_setmetatable(L, BUFFER_MT);
  return buffer;
}

static void give_buffer(lua_State *L, int index, pump_buffer *buffer) {
  if (buffer->capacity > KEEP_BUFFER) pump_buffer_free(buffer);
  pump_buffer_clear(buffer);
  lua_pushvalue(L, index);
  lua_replace(L, lua_upvalueindex(1));
}

static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  pump_buffer *buffer = take_buffer(L);
  const char *error;
  int results = 1;
  if (pump_lua_json_encode(L, 1, buffer, &error) == 0) {
    lua_pushlstring(L, (const char *)buffer->data, buffer->size);
  } else {
    lua_pushnil(L);
    lua_pushstring(L, error);
    results = 2;
  }
  give_buffer(L, 2, buffer);
  return results;
}

int pump_lua_json_refuse(lua_State *L, const char *error, size_t offset) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s, at byte %I", error, (LUAI_UACINT)offset);
  lua_pushinteger(L, (lua_Integer)offset);
  return 3;
}

static int decode(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  const char *error;
  size_t offset;
  if (pump_lua_json_decode(L, text, &error, &offset) == 0) return 1;
  return pump_lua_json_refuse(L, error, offset);
}

/* check(text) -> true, or what decode would return: for texts that only have to be JSON. */
static int check(lua_State *L) {
  pump_bytes text;
  text.data = luaL_checklstring(L, 1, &text.size);
  pump_json_reader reader;
  pump_json_reader_init(&reader, text);
  if (pump_json_check(&reader) < 0)
    return pump_lua_json_refuse(L, reader.message, reader.offset + 1);
  lua_pushboolean(L, 1);
  return 1;
}

static int array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_array_mt(L);
  if (lua_getmetatable(L, 1)) {
    luaL_argcheck(L, lua_rawequal(L, 2, 3), 1, "the table has another metatable");
    lua_pop(L, 1);
  }
  lua_setmetatable(L, 1);
  return 1;
}

int pump_lua_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"check", check}, {"decode", decode}, {"array", array}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  lua_newtable(L);
  lua_pushliteral(L, "pump.array");
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_mt_key);
  lua_setfield(L, -2, "array_mt");
  if (luaL_newmetatable(L, BUFFER_MT)) {
    lua_pushcfunction(L, collect_buffer);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_pushcclosure(L, encode, 1);
  lua_setfield(L, -2, "encode");
  return 1;
}

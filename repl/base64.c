/* Base64: how bytes that are no JSON stand in JSON. */
#include "pumpsh.h"

#include <lauxlib.h>
#include "base/base64.h"

enum { block_size = 3 << 10 }; /* as four characters for three bytes */

/* encode(bytes) -> text */
static int encode(lua_State *L) {
  static pump_buffer block;
  pump_bytes bytes;
  luaL_Buffer text;
  bytes.data = luaL_checklstring(L, 1, &bytes.size);
  luaL_buffinit(L, &text);
  for (size_t at = 0; at < bytes.size; at += block_size) {
    size_t left = bytes.size - at;
    pump_buffer_clear(&block);
    pump_base64_write(&block, (const uint8_t *)bytes.data + at,
                      left < block_size ? left : block_size);
    if (block.failed) return luaL_error(L, "out of memory");
    luaL_addlstring(&text, (const char *)block.data, block.size);
  }
  luaL_pushresult(&text);
  return 1;
}

/* decode(text) -> bytes, or nil where the text is not Base64 */
static int decode(lua_State *L) {
  pump_bytes text;
  luaL_Buffer bytes;
  text.data = luaL_checklstring(L, 1, &text.size);
  size_t room = text.size / 4 * 3;
  ptrdiff_t size = pump_base64_read((uint8_t *)luaL_buffinitsize(L, &bytes, room), room, text);
  if (size < 0) return 0;
  luaL_pushresultsize(&bytes, (size_t)size);
  return 1;
}

int luaopen_repl_base64(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", encode}, {"decode", decode}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

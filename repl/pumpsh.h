/* What the C files of pumpsh offer to its Lua files and to one another. */
#ifndef PUMPSH_H
#define PUMPSH_H

#include <lua.h>
#include <pump.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A Lua file that is built in. */
typedef struct pumpsh_file {
  const char *module; /* "repl.args" */
  const char *name;   /* "=repl/args.lua", the name of its chunk */
  const unsigned char *text;
  size_t size;
} pumpsh_file;

/* Ends with an entry whose module is NULL. */
extern const pumpsh_file pumpsh_files[];

int luaopen_pump_core(lua_State *L);
int luaopen_pump_core_node(lua_State *L);
int luaopen_repl_system(lua_State *L);
int luaopen_repl_signals(lua_State *L);
int luaopen_repl_editor(lua_State *L);
PUMP_API int luaopen_repl_base64(lua_State *L); /* as a module of their own, too, for specs */
PUMP_API int luaopen_repl_glyphs(lua_State *L);
PUMP_API int luaopen_repl_layout(lua_State *L);

/* The character of UTF-8 that a text begins with: its size, 0 where there is none. */
size_t pumpsh_glyph(pump_bytes text, uint32_t *code);
/* Whether a character beyond ASCII's controls steers a terminal or turns the reading direction. */
bool pumpsh_steers(uint32_t code);
/* The columns that a text takes on a terminal. */
size_t pumpsh_width(pump_bytes text);

/* Readable when a signal was caught; -1 before luaopen_repl_signals. */
int pumpsh_signals_fd(void);

/* What has to be done before the process ends in a signal's handler, or NULL. */
extern void (*pumpsh_before_death)(void);

#endif

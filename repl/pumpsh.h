/* What the C files of pumpsh offer to its Lua files and to one another. */
#ifndef PUMPSH_H
#define PUMPSH_H

#include <lua.h>
#include <stddef.h>

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

/* Readable when a signal was caught; -1 before luaopen_repl_signals. */
int pumpsh_signals_fd(void);

/* What has to be done before the process ends in a signal's handler, or NULL. */
extern void (*pumpsh_before_death)(void);

#endif

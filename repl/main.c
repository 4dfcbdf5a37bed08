/* pumpsh: a Lua state with the module, the shell's own files and a terminal in it. Everything that
 * is policy stands in repl/main.lua, which gets the arguments and returns the exit status. */
#include "pumpsh.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <locale.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int load_file(lua_State *L) {
  const pumpsh_file *file = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, (const char *)file->text, file->size, file->name, "t") != LUA_OK)
    return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* The files that belong to this binary are found before any that are installed. */
static void preload(lua_State *L) {
  static const luaL_Reg modules[] = {{"pump.core", luaopen_pump_core},
                                     {"pump.core_node", luaopen_pump_core_node},
                                     {"repl.system", luaopen_repl_system},
                                     {"repl.signals", luaopen_repl_signals},
                                     {"repl.base64", luaopen_repl_base64},
                                     {"repl.glyphs", luaopen_repl_glyphs},
                                     {"repl.layout", luaopen_repl_layout},
#ifdef PUMPSH_READLINE
                                     {"repl.editor", luaopen_repl_editor},
#endif
                                     {NULL, NULL}};
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, modules, 0);
  for (const pumpsh_file *file = pumpsh_files; file->module; file++) {
    lua_pushlightuserdata(L, (void *)file);
    lua_pushcclosure(L, load_file, 1);
    lua_setfield(L, -2, file->module);
  }
  lua_pop(L, 1);
}

static int run(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_openlibs(L);
  preload(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "repl.main");
  lua_call(L, 1, 1);
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

/* Where a standard file is closed, the next that is opened would take its place: a store, or the
 * connection, and what is printed would go there. What stands there instead can be neither read nor
 * written, as what is closed cannot. */
static void hold_standard_files(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    int held = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (held >= 0 && held != fd) close(held);
  }
}

int main(int argc, char **argv) {
  hold_standard_files();
  /* How wide a character is depends on this; numbers stay as Lua wants them. */
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("pumpsh: out of memory\n", stderr);
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, run);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = EXIT_FAILURE;
  if (lua_pcall(L, 2, 1, 0) == LUA_OK)
    status = (int)lua_tointeger(L, -1);
  else
    fprintf(stderr, "pumpsh: %s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return status;
}

/* Signals: noted when they come, acted on where it is safe, which is the shell's loop. One thing
 * cannot wait for the loop: Lua that computes and never comes back. For that the shell's
 * coroutine.resume says here which coroutine runs, and an interrupt hooks that one. */
#include "pumpsh.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { INTERRUPT, TERMINATE, SUSPEND, RESUME, RESIZE, KINDS };
static const char *const kind_names[KINDS] = {"interrupt", "terminate", "suspend", "resume",
                                              "resize"};

static volatile sig_atomic_t caught[KINDS];
static volatile sig_atomic_t presses; /* interrupts since somebody said "handled" */
static volatile sig_atomic_t told;
static int wake[2] = {-1, -1};

/* The coroutine that runs now, NULL for the main thread; and the one that an interrupt hooked. */
static lua_State *volatile running;
static lua_State *volatile hooked;

void (*pumpsh_before_death)(void);

/* Their addresses are the keys of on_interrupt's function, and of the error that it gave last. */
static const char callback_key = 'i';
static const char error_key = 'e';

static bool is_ours(const char *source) {
  return strncmp(source, "=pump/", 6) == 0;
}

/* Tells the shell, once for each interrupt, so that it ends what the coroutine may wait for. */
static void call_back(lua_State *L) {
  if (!told) {
    told = 1;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &callback_key) == LUA_TFUNCTION) lua_call(L, 0, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  }
}

/* The first interrupt lets the module's own code finish what it is at, and may be caught. From
 * the second on it is raised wherever the coroutine stands, again and again. */
static void stop(lua_State *L, lua_Debug *ar) {
  call_back(L);
  if (presses < 2) {
    if (lua_getinfo(L, "S", ar) && is_ours(ar->source)) return;
    hooked = NULL;
    lua_sethook(L, NULL, 0, 0);
  }
  bool goes_on = lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key) == LUA_TBOOLEAN;
  if (goes_on && presses < 2) return;
  if (!lua_toboolean(L, -1)) luaL_error(L, "interrupted");
  lua_error(L);
}

static void hook(lua_State *L) {
  hooked = L;
  lua_sethook(L, stop, LUA_MASKCOUNT, 1);
}

static void on_signal(int number) {
  int saved = errno;
  int kind = number == SIGINT     ? INTERRUPT
             : number == SIGTSTP  ? SUSPEND
             : number == SIGCONT  ? RESUME
             : number == SIGWINCH ? RESIZE
                                  : TERMINATE;
  caught[kind] = 1;
  if (kind == INTERRUPT || kind == TERMINATE) {
    told = 0;
    if (++presses > 2) {
      if (pumpsh_before_death) pumpsh_before_death();
      _exit(130);
    }
    if (running) hook(running);
  }
  ssize_t ignored = write(wake[1], "", 1);
  (void)ignored;
  errno = saved;
}

/* What is to end does not wait for an open, a read or a write that another one keeps waiting. What
 * waits in poll is woken by each of them. */
static void handle(int number, void (*handler)(int)) {
  bool ends = number == SIGINT || number == SIGTERM || number == SIGHUP;
  struct sigaction action;
  if (number == SIGHUP && sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
    return; /* nohup */
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = ends ? 0 : SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
}

int pumpsh_signals_fd(void) {
  return wake[0];
}

/* enter(co): that coroutine runs from now on. */
static int enter(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTHREAD);
  running = lua_tothread(L, 1);
  return 0;
}

/* leave(...) -> ...: the caller runs again. */
static int leave(lua_State *L) {
  lua_State *left = running;
  int is_main = lua_pushthread(L);
  lua_pop(L, 1);
  running = is_main ? NULL : L;
  if (left && hooked == left) {
    lua_sethook(left, NULL, 0, 0);
    hooked = NULL;
    if (running) hook(running);
  }
  return lua_gettop(L);
}

/* taken() -> { interrupt = true, … } for what came since the last call, or nil. */
static int taken(lua_State *L) {
  char bytes[64];
  bool any = false;
  while (read(wake[0], bytes, sizeof bytes) > 0)
    any = true;
  if (!any) return 0;
  lua_newtable(L);
  for (int kind = 0; kind < KINDS; kind++) {
    if (!caught[kind]) continue;
    caught[kind] = 0;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, kind_names[kind]);
  }
  return 1;
}

/* handled(): what the interrupts were meant for is over; the next one counts as the first. */
static int handled(lua_State *L) {
  (void)L;
  presses = 0;
  caught[INTERRUPT] = 0;
  return 0;
}

/* on_interrupt(fn): called when Lua that computes is interrupted; may return the error for it, or
 * false: it goes on, as it waits soon. */
static int on_interrupt(lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &callback_key);
  return 0;
}

/* suspendable(yes): with yes, a stop from the terminal is noted like the other signals. */
static int suspendable(lua_State *L) {
  handle(SIGTSTP, lua_toboolean(L, 1) ? on_signal : SIG_DFL);
  return 0;
}

/* deaf(yes): with yes, interrupts are for the program that has the terminal, and not for us. */
static int deaf(lua_State *L) {
  handle(SIGINT, lua_toboolean(L, 1) ? SIG_IGN : on_signal);
  return 0;
}

static int suspend(lua_State *L) {
  (void)L;
  kill(0, SIGSTOP);
  return 0;
}

static int make_pipe(void) {
  if (pipe(wake) != 0) return -1;
  for (int i = 0; i < 2; i++) {
    fcntl(wake[i], F_SETFL, O_NONBLOCK);
    fcntl(wake[i], F_SETFD, FD_CLOEXEC);
  }
  return 0;
}

int luaopen_repl_signals(lua_State *L) {
  static const luaL_Reg functions[] = {{"enter", enter},
                                       {"leave", leave},
                                       {"taken", taken},
                                       {"handled", handled},
                                       {"on_interrupt", on_interrupt},
                                       {"deaf", deaf},
                                       {"suspend", suspend},
                                       {"suspendable", suspendable},
                                       {NULL, NULL}};
  if (make_pipe() != 0) return luaL_error(L, "no pipe: %s", strerror(errno));
  handle(SIGINT, on_signal);
  handle(SIGTERM, on_signal);
  handle(SIGHUP, on_signal);
  handle(SIGWINCH, on_signal);
  handle(SIGCONT, on_signal);
  handle(SIGPIPE, SIG_IGN);
  handle(SIGXFSZ, SIG_IGN); /* a limit of file size is an error of a write, as a full disk is */
  luaL_newlib(L, functions);
  return 1;
}

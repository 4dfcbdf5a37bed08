/* What the shell needs from the operating system beyond Lua's own library. */
#define _GNU_SOURCE
#include "pumpsh.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* nil, "No such file or directory" */
static int failure(lua_State *L, int error) {
  luaL_pushfail(L);
  lua_pushstring(L, strerror(error));
  return 2;
}

static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* size() -> rows, columns of the terminal */
static int terminal_size(lua_State *L) {
  struct winsize window;
  int known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
  lua_pushinteger(L, known ? window.ws_row : 24);
  lua_pushinteger(L, known ? window.ws_col : 80);
  return 2;
}

/* wait(input, fd, seconds, reader, room): until standard input can be read (if input is true), fd is
 * ready, a signal came, nobody reads standard output any more (if reader is true), it has room for
 * 4096 bytes (if room is true), or the time is over (nil: no end). Returns whether input can be
 * read, whether nobody reads the output, and whether a write to it would wait for nobody. */
static int wait_for(lua_State *L) {
  int input = lua_toboolean(L, 1), reader = lua_toboolean(L, 4), room = lua_toboolean(L, 5);
  double seconds = luaL_optnumber(L, 3, -1);
  /* poll leaves out what is negative */
  struct pollfd fds[] = {{.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
                         {.fd = reader || room ? STDOUT_FILENO : -1, .events = room ? POLLOUT : 0},
                         {.fd = pumpsh_signals_fd(), .events = POLLIN},
                         {.fd = (int)luaL_optinteger(L, 2, -1), .events = POLLIN}};
  int timeout = seconds < 0 ? -1 : seconds > 3600 ? 3600 * 1000 : (int)(seconds * 1000 + 0.999);
  int ready = poll(fds, sizeof fds / sizeof *fds, timeout);
  lua_pushboolean(L, ready > 0 && fds[0].revents != 0);
  lua_pushboolean(L, ready > 0 && reader && fds[1].revents & POLLERR);
  lua_pushboolean(L, ready > 0 && room && fds[1].revents != 0);
  return 3;
}

/* read([most]) -> what stands ready on standard input, "" at its end */
static int read_input(lua_State *L) {
  static char bytes[65536];
  lua_Integer most = luaL_optinteger(L, 1, sizeof bytes);
  luaL_argcheck(L, most > 0 && most <= (lua_Integer)sizeof bytes, 1, "out of range");
  ssize_t got;
  do
    got = read(STDIN_FILENO, bytes, (size_t)most);
  while (got < 0 && errno == EINTR);
  if (got < 0) return failure(L, errno);
  lua_pushlstring(L, bytes, (size_t)got);
  return 1;
}

/* clock() -> seconds since some time in the past, never going back */
static int monotonic(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
  return 1;
}

/* mkdir(path) -> true, also where there is one already */
static int make_folder(lua_State *L) {
  if (mkdir(luaL_checkstring(L, 1), 0700) != 0 && errno != EEXIST) return failure(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

/* files(start) -> the paths that begin like that, folders with a slash behind them */
static int files(lua_State *L) {
  const char *start = luaL_checkstring(L, 1);
  glob_t found;
  luaL_Buffer pattern;
  luaL_buffinit(L, &pattern);
  for (; *start; start++) {
    if (strchr("*?[\\", *start)) luaL_addchar(&pattern, '\\');
    luaL_addchar(&pattern, *start);
  }
  luaL_addchar(&pattern, '*');
  luaL_pushresult(&pattern);
  lua_newtable(L);
  if (glob(lua_tostring(L, -2), GLOB_MARK, NULL, &found) != 0) return 1;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    lua_pushstring(L, found.gl_pathv[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  globfree(&found);
  return 1;
}

/* append_private(path, text) -> true: to a file that nobody else can read */
static int append_private(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return failure(L, errno);
  fchmod(fd, 0600);
  ssize_t put = write(fd, text, size);
  int error = put < 0 ? errno : (size_t)put < size ? ENOSPC : 0;
  close(fd);
  if (error) return failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* A shell that runs a command, with `input` as its standard input if that is none of ours (0).
 * Signals are as a program expects. 0 or an errno. */
static int run_shell(const char *command, int input, pid_t *pid) {
  char *arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGXFSZ);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_init(&files);
  if (input != STDIN_FILENO) posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  int error = posix_spawn(pid, "/bin/sh", &files, &attributes, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

/* spawn(command) -> the process id of a shell that runs it */
static int spawn(lua_State *L) {
  pid_t pid;
  int error = run_shell(luaL_checkstring(L, 1), STDIN_FILENO, &pid);
  if (error) return failure(L, error);
  lua_pushinteger(L, pid);
  return 1;
}

/* feed(command) -> the process id of a shell that runs it, and a descriptor for its standard input
 * which never keeps a writer waiting */
static int feed(lua_State *L) {
  const char *command = luaL_checkstring(L, 1);
  int ends[2];
  pid_t pid;
  if (pipe2(ends, O_CLOEXEC) != 0) return failure(L, errno);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  int error = run_shell(command, ends[0], &pid);
  close(ends[0]);
  if (error) {
    close(ends[1]);
    return failure(L, error);
  }
  lua_pushinteger(L, pid);
  lua_pushinteger(L, ends[1]);
  return 2;
}

/* write(fd, text, from) -> how many bytes of it went out (0: not now); nil, why: none ever will */
static int write_some(lua_State *L) {
  size_t size;
  int fd = (int)luaL_checkinteger(L, 1);
  const char *text = luaL_checklstring(L, 2, &size);
  size_t from = (size_t)luaL_checkinteger(L, 3) - 1;
  ssize_t put = from < size ? write(fd, text + from, size - from) : 0;
  if (put < 0 && errno != EAGAIN && errno != EINTR) return failure(L, errno);
  lua_pushinteger(L, put < 0 ? 0 : put);
  return 1;
}

static int close_file(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* temporary(suffix) -> the path of a new, empty file that nobody else can read */
static int temporary(lua_State *L) {
  const char *folder = getenv("TMPDIR");
  const char *suffix = luaL_checkstring(L, 1);
  if (!folder || !*folder) folder = "/tmp";
  const char *path = lua_pushfstring(L, "%s/pumpsh-XXXXXX%s", folder, suffix);
  char *made = strdup(path);
  int fd = made ? mkostemps(made, (int)strlen(suffix), O_CLOEXEC) : -1;
  int error = errno;
  if (fd >= 0) {
    close(fd);
    lua_pushstring(L, made);
  }
  free(made);
  return fd >= 0 ? 1 : failure(L, error);
}

/* reap(pid) -> its exit status, or nil while it runs */
static int reap(lua_State *L) {
  int status;
  pid_t pid = waitpid((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG);
  if (pid == 0) return 0;
  lua_pushinteger(L, pid < 0             ? 127
                     : WIFEXITED(status) ? WEXITSTATUS(status)
                                         : 128 + WTERMSIG(status));
  return 1;
}

/* Reads until the line ends. Returns its length, or -1 when a signal came or input ended. */
static ssize_t read_unseen(int fd, char *line, size_t size) {
  size_t used = 0;
  while (used < size) {
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = pumpsh_signals_fd(), .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 || fds[1].revents) return -1;
    ssize_t got = read(fd, line + used, 1);
    if (got <= 0) return -1;
    if (line[used] == '\n') break;
    used++;
  }
  return (ssize_t)used;
}

static void tell(int fd, const char *text) {
  ssize_t ignored = write(fd, text, strlen(text));
  (void)ignored;
}

/* password(prompt) -> a line from the terminal, typed unseen; nil without one, false where the
 * person gave up */
static int password(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  char line[1024];
  struct termios before, unseen;
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || tcgetattr(fd, &before) != 0) {
    if (fd >= 0) close(fd);
    return 0;
  }
  unseen = before;
  unseen.c_lflag &= ~(tcflag_t)ECHO;
  tcsetattr(fd, TCSAFLUSH, &unseen);
  tell(fd, prompt);
  ssize_t used = read_unseen(fd, line, sizeof line);
  tcsetattr(fd, TCSAFLUSH, &before);
  tell(fd, "\n");
  close(fd);
  if (used < 0)
    lua_pushboolean(L, 0);
  else
    lua_pushlstring(L, line, (size_t)used);
  explicit_bzero(line, sizeof line);
  return 1;
}

static struct termios cooked; /* the terminal as it was found */
static volatile sig_atomic_t is_raw;

static void give_terminal_back(void) {
  static const char no_bracketed_paste[] = "\33[?2004l\r\n";
  if (!is_raw) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
  tell(STDOUT_FILENO, no_bracketed_paste);
}

/* raw(yes): each key comes as it is typed, and unseen; but ^C and ^Z are signals as ever. */
static int raw(lua_State *L) {
  int wanted = lua_toboolean(L, 1);
  if (!is_raw && tcgetattr(STDIN_FILENO, &cooked) != 0) return 0;
  struct termios mode = cooked;
  if (wanted) {
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IXON);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
  }
  tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
  is_raw = wanted;
  pumpsh_before_death = give_terminal_back;
  return 0;
}

/* As many open files as this process may have at all: each peer of a server is one. */
static int allow_files(lua_State *L) {
  struct rlimit files;
  (void)L;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  return 0;
}

int luaopen_repl_system(lua_State *L) {
  static const luaL_Reg functions[] = {{"is_terminal", is_terminal},
                                       {"size", terminal_size},
                                       {"wait", wait_for},
                                       {"read", read_input},
                                       {"clock", monotonic},
                                       {"mkdir", make_folder},
                                       {"files", files},
                                       {"append_private", append_private},
                                       {"spawn", spawn},
                                       {"feed", feed},
                                       {"write", write_some},
                                       {"close", close_file},
                                       {"temporary", temporary},
                                       {"reap", reap},
                                       {"password", password},
                                       {"raw", raw},
                                       {"allow_files", allow_files},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

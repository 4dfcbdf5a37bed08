/* Line editing by GNU readline in callback mode: the shell's loop hands over each key as it comes
 * and never waits for a line. Only pumpsh is linked with it (and is GPL for that). */
#include "pumpsh.h"

#include <lauxlib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <readline/history.h>
#include <readline/readline.h>
#include "base/buffer.h"

static bool shown;            /* the prompt stands on the terminal */
static bool ended;            /* a line was finished, or the end of input came */
static char *line;            /* the finished line, NULL for the end of input */
static lua_State *completing; /* the state in which read runs; completer is called in it */
static int completer = LUA_NOREF;

static struct termios cooked; /* the terminal as it was found */

/* The terminal as others expect it, from a signal's handler. */
static void give_terminal_back(void) {
  static const char no_bracketed_paste[] = "\33[?2004l\r\n";
  if (!shown) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
  ssize_t ignored = write(STDOUT_FILENO, no_bracketed_paste, sizeof no_bracketed_paste - 1);
  (void)ignored;
}

static void on_line(char *text) {
  ended = true;
  line = text;
  shown = false;
  rl_callback_handler_remove();
}

/* What a terminal says is pasted comes here, not to readline, which would read on until its end and
 * nothing else: an end that is lost would be waited for with all that goes on. */
enum { most_pasted = 16 << 20 };
static bool pasting;
static pump_buffer pasted;

static int begin_paste(int count, int key) {
  (void)count, (void)key;
  pasting = true;
  pump_buffer_clear(&pasted);
  return 0;
}

static void end_paste(void) {
  pasting = false;
  for (size_t i = 0; i < pasted.size; i++)
    if (pasted.data[i] == '\r') pasted.data[i] = '\n';
  rl_insert_text(pump_buffer_string(&pasted));
  rl_redisplay();
}

/* Takes what has come of it. */
static void read_paste(void) {
  static const char mark[] = "\33[201~";
  static const size_t size = sizeof mark - 1;
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  uint8_t byte;
  while (pasting && poll(&input, 1, 0) > 0) {
    if (read(STDIN_FILENO, &byte, 1) != 1) {
      pasting = false;
      return;
    }
    pump_buffer_byte(&pasted, byte);
    if (pasted.size < size) continue;
    uint8_t *last = pasted.data + pasted.size - size;
    if (memcmp(last, mark, size) == 0) {
      pump_buffer_truncate(&pasted, pasted.size - size);
      end_paste();
    } else if (pasted.size > most_pasted) { /* nobody means that; its end is still to be found */
      memmove(pasted.data, last, size);
      pump_buffer_truncate(&pasted, size);
    }
  }
}

/* start(prompt[, history]): shows the prompt. */
static int start(lua_State *L) {
  pasting = false;
  rl_callback_handler_install(luaL_checkstring(L, 1), on_line);
  shown = true;
  ended = false;
  return 0;
}

/* read() -> false while the line is not finished, the line, or nil at the end of input */
static int read_key(lua_State *L) {
  completing = L;
  if (pasting)
    read_paste();
  else
    rl_callback_read_char();
  completing = NULL;
  if (!ended) {
    lua_pushboolean(L, 0);
    return 1;
  }
  ended = false;
  if (!line) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushstring(L, line);
  free(line);
  line = NULL;
  return 1;
}

/* stop(): gives the terminal back, with the line gone. */
static int stop(lua_State *L) {
  (void)L;
  if (shown) rl_callback_handler_remove();
  shown = false;
  return 0;
}

/* hide(): takes the prompt and what is typed off the terminal, for output above them. */
static int hide(lua_State *L) {
  (void)L;
  if (shown) {
    rl_clear_visible_line();
    fflush(rl_outstream);
  }
  return 0;
}

/* show(): puts them back. */
static int show(lua_State *L) {
  (void)L;
  if (shown) {
    rl_on_new_line();
    rl_redisplay();
  }
  return 0;
}

/* drop(prompt): forgets what is typed and starts anew on the next line. */
static int drop(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  if (!shown) return 0;
  pasting = false;
  rl_callback_sigcleanup();
  rl_point = rl_end;
  rl_redisplay();
  fputs("^C\n", rl_outstream);
  rl_callback_handler_remove();
  rl_callback_handler_install(prompt, on_line);
  return 0;
}

/* is_empty() -> whether nothing is typed */
static int is_empty(lua_State *L) {
  lua_pushboolean(L, rl_end == 0);
  return 1;
}

/* prompt(text): another prompt before what is typed, between hide and show. */
static int set_prompt(lua_State *L) {
  rl_set_prompt(luaL_checkstring(L, 1));
  return 0;
}

/* resized(): the terminal has another size now. */
static int resized(lua_State *L) {
  (void)L;
  rl_resize_terminal();
  return 0;
}

/* release() before the terminal is somebody else's, regain() when it is ours again. */
static int release(lua_State *L) {
  (void)L;
  if (shown) rl_deprep_terminal();
  return 0;
}

static int regain(lua_State *L) {
  (void)L;
  if (!shown) return 0;
  rl_deprep_terminal();
  rl_prep_terminal(1);
  rl_forced_update_display();
  return 0;
}

/* remember(text): one entry of the history. */
static int remember(lua_State *L) {
  add_history(luaL_checkstring(L, 1));
  return 0;
}

/* completion(fn): fn(line, first, word) -> a list of words; first is where the word starts. */
static int completion(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, completer);
  completer = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static char *next_word(const char *text, int state) {
  (void)text;
  static lua_Integer at;
  lua_State *L = completing;
  at = state ? at + 1 : 1;
  char *word = NULL;
  if (lua_geti(L, -1, at) == LUA_TSTRING) word = strdup(lua_tostring(L, -1));
  lua_pop(L, 1);
  return word;
}

/* A command's words are parted by blanks, Lua's by what Lua parts them by. */
static char *word_breaks(void) {
  static char blanks[] = " \t\n";
  return rl_line_buffer[0] == '\\' ? blanks : NULL;
}

static char **complete(const char *text, int first, int last) {
  (void)last;
  lua_State *L = completing;
  char **words = NULL;
  rl_attempted_completion_over = 1;
  rl_completion_append_character = '\0';
  if (!L || completer == LUA_NOREF || !lua_checkstack(L, 8)) return NULL;
  int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, completer);
  lua_pushstring(L, rl_line_buffer);
  lua_pushinteger(L, first + 1);
  lua_pushstring(L, text);
  if (lua_pcall(L, 3, 1, 0) == LUA_OK && lua_istable(L, -1))
    words = rl_completion_matches(text, next_word);
  /* The only one of a command's words is whole, but a folder goes on. */
  if (rl_line_buffer[0] == '\\' && words && !words[1] && *words[0] &&
      words[0][strlen(words[0]) - 1] != '/')
    rl_completion_append_character = ' ';
  lua_settop(L, top);
  return words;
}

/* As many as one looks through. Readline would ask whether it is to show them all, and wait. */
static void show_words(char **words, int count, int longest) {
  static const int most = 100;
  rl_display_match_list(words, count < most ? count : most, longest);
  if (count > most) fprintf(rl_outstream, "… and %d more\n", count - most);
  rl_forced_update_display();
}

int luaopen_repl_editor(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", start},
                                       {"read", read_key},
                                       {"stop", stop},
                                       {"hide", hide},
                                       {"show", show},
                                       {"drop", drop},
                                       {"is_empty", is_empty},
                                       {"prompt", set_prompt},
                                       {"resized", resized},
                                       {"release", release},
                                       {"regain", regain},
                                       {"remember", remember},
                                       {"completion", completion},
                                       {NULL, NULL}};
  rl_readline_name = "pumpsh";
  rl_catch_signals = 0;
  rl_catch_sigwinch = 0;
  rl_change_environment = 0;
  rl_basic_word_break_characters = " \t\n\"'`@$><=;|&{}(),+-*/%[]#~^.:";
  rl_attempted_completion_function = complete;
  rl_completion_word_break_hook = word_breaks;
  rl_completion_display_matches_hook = show_words;
  rl_variable_bind("page-completions", "off");
  rl_bind_keyseq_in_map("\\e[200~", begin_paste, emacs_standard_keymap);
  rl_bind_keyseq_in_map("\\e[200~", begin_paste, vi_insertion_keymap);
  using_history();
  if (tcgetattr(STDIN_FILENO, &cooked) == 0) pumpsh_before_death = give_terminal_back;
  luaL_newlib(L, functions);
  return 1;
}

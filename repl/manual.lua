-- The manual page, in the language of man(7), from the tables of commands and options.

local pump = require "pump"

local manual = {}

-- Text as it is to be read: nothing in it is a request, and a hyphen is one that can be typed.
local function plain(s)
  s = s:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("…", "..."):gsub("\n(['.])", "\n\\&%1")
  return (s:gsub("^(['.])", "\\&%1"))
end

local function bold(s)
  return "\\fB" .. plain(s) .. "\\fR"
end

-- ARGUMENTS and [ARGUMENTS] in italics, the brackets as they are.
local function slanted(s)
  return (plain(s):gsub("[%u][%u:]*", "\\fI%0\\fR"))
end

local function item(lines, title, ...)
  lines[#lines + 1] = ".TP"
  lines[#lines + 1] = title
  for _, line in ipairs { ... } do lines[#lines + 1] = line end
end

local function option_title(option)
  local value = option[2] and " " .. slanted(option[2]) or ""
  return (option.short and bold("-" .. option.short) .. ", " or "") .. bold("--" .. option[1])
    .. value
end

local function command_title(command)
  local pieces = { bold((command.only == "shell" and "\\" or "") .. command.name) }
  for _, argument in ipairs(command.arguments or {}) do pieces[#pieces + 1] = slanted(argument) end
  return table.concat(pieces, " ")
end

local function add_options(lines, options)
  for _, option in ipairs(options) do item(lines, option_title(option), plain(option.help)) end
end

local function add_commands(lines, list)
  for _, command in ipairs(list) do
    item(lines, command_title(command), plain(command.help))
    if command.options then
      lines[#lines + 1] = ".RS"
      add_options(lines, command.options)
      lines[#lines + 1] = ".RE"
    end
  end
end

local head = [[
.SH NAME
pumpsh \- a shell for EventStore
.SH SYNOPSIS
.B pumpsh
.RI [ options ]
.br
.B pumpsh
.RI [ options ]
.I COMMAND
.RI [ arguments ]
.br
.B pumpsh
.RI [ options ]
.I FILE.lua
.RI [ arguments ]
.SH DESCRIPTION
.B pumpsh
looks around in an EventStore, publishes, reads and follows events, and runs Lua.
With a command it does that and ends; with a script it runs that, with
.BR conn ", " pump " and " arg
in scope; without either it is an interactive shell, or runs the lines that are piped into it.
.PP
Without a server it has a store of its own: in memory, or in a file that
.B \-u file:PATH
names.
.PP
Data goes to standard output and everything else to standard error.
On a terminal results are tables, anywhere else lines of JSON.]]

local shell = [[
.SH THE SHELL
A line is Lua, or a command behind a backslash; the last argument of a command takes the rest of
the line.
An expression shows its value, and
.B _
is the last one.
Every line is a task: what it started with
.B pump.spawn
goes on while you type.
.PP
Ctrl\-C stops what runs and keeps the connection; at the prompt it drops the line.
Ctrl\-D leaves.
Tab completes.]]

local tail = [[
.SH EXIT STATUS
.TP
.B 0
fine
.TP
.B 1
a wrong argument, or an error in Lua
.TP
.B 2
cannot connect, or the connection was lost
.TP
.B 3
the server refused
.TP
.B 130
interrupted
.SH ENVIRONMENT
.TP
.B PUMP_URL
where to, without
.B \-u
.TP
.B PUMP_PASSWORD
the password for
.B \-\-user
.TP
.B PAGER
what shows results that are taller than the screen;
.B less
if it is not set, and nothing if it is empty
.TP
.BR VISUAL ", " EDITOR
the editor of
.B \ee
.TP
.B PUMPSH_EDITOR
.B own
for pumpsh's own line editor instead of readline
.TP
.B NO_COLOR
if it is not empty, no colours
.SH FILES
.TP
.I $XDG_CONFIG_HOME/pumpsh/init.lua
Lua that runs before the first prompt
.TP
.I $XDG_STATE_HOME/pumpsh/history
what was typed, for its owner alone; no line that holds a password
.SH EXAMPLES
.EX
pumpsh \-u file:ponies.db publish ponies PonyJumped '{"Height": 10}'
pumpsh \-u file:ponies.db read ponies
pumpsh \-u tcp://es.example:1113 export ponies | pumpsh \-u file:copy.db import ponies
pumpsh \-e 'print(conn:ping())'
.EE]]

-- The page, from the lists of repl/commands.lua and repl/options.lua.
function manual.page(list, options)
  local lines = { '.TH PUMPSH 1 "" "pump ' .. pump.version .. '" "User commands"', head }
  lines[#lines + 1] = ".SH OPTIONS"
  add_options(lines, options)
  lines[#lines + 1] = ".SH COMMANDS"
  lines[#lines + 1] = "Those with a backslash are the shell's alone."
  lines[#lines + 1] = "In the shell the others have one, too."
  add_commands(lines, list)
  lines[#lines + 1] = shell
  lines[#lines + 1] = tail
  return table.concat(lines, "\n") .. "\n"
end

return manual

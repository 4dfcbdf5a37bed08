-- What the specs that type into the real binary share: tmux types, and looks at the screen.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local terminal = { support = support, prompt = "pump memory:>" }

local tmux

function terminal.shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local out = pipe:read("a")
  local ok = pipe:close()
  return out, ok
end

-- One command of tmux about the terminal that is open.
function terminal.tmux(command)
  return terminal.shell(tmux .. command)
end

function terminal.key(...)
  for _, name in ipairs { ... } do terminal.tmux("send-keys " .. name) end
end

function terminal.screen()
  return (terminal.tmux("capture-pane -p"):gsub("%s+$", ""))
end

-- Waits until fn likes the screen.
function terminal.look(fn)
  local view
  for _ = 1, 800 * support.slow do
    view = terminal.screen()
    if fn(view) then return view end
    os.execute("sleep 0.05")
  end
  error("the screen is\n" .. view, 3)
end

-- Waits until the screen holds a text (a plain one), or ends with a line.
function terminal.shows(text)
  return terminal.look(function(view) return view:find(text, 1, true) end)
end

function terminal.ends(text)
  return terminal.look(function(view)
    return view:sub(-#text - 1) == "\n" .. text or view == text
  end)
end

function terminal.send(text)
  terminal.tmux("send-keys -l -- " .. support.quote(text))
end

-- Types a text, and sees to it that it has arrived: blanks at the end of a row are not seen.
function terminal.typed(text)
  terminal.send(text)
  local tail = text:gsub("%s", ""):sub(-20)
  terminal.look(function(view) return view:gsub("%s", ""):sub(-#tail) == tail end)
end

-- One line, and the prompt after it.
function terminal.line(text)
  terminal.typed(text)
  terminal.key "Enter"
  return terminal.ends(terminal.prompt)
end

-- A server of tmux for each terminal: one that was killed may still be about. A sanitized shell
-- does not look for leaks: the signals of a terminal that is closed would keep it looking forever.
function terminal.start(command)
  local name = os.tmpname()
  os.remove(name)
  tmux = "tmux -L " .. name:match("[^/]*$") .. " -f /dev/null "
  terminal.tmux("start-server ';' set -g history-limit 10000 ';' new-session -d -x 80 -y 24 "
    .. support.quote("export ASAN_OPTIONS=detect_leaks=0; " .. command))
end

-- A shell; its files are below terminal.home, which setup makes.
function terminal.open(arguments, env)
  local home = terminal.home
  terminal.start(string.format(
    "env LANG= LC_ALL= HOME=%s XDG_STATE_HOME=%s/state XDG_CONFIG_HOME=%s/config %s %s %s; "
      .. "echo status $?; sleep 100", home, home, home, env or "", support.binary,
    arguments or "-q"))
end

function terminal.close()
  terminal.tmux("kill-server")
end

function terminal.setup()
  terminal.home = support.path()
  os.execute("mkdir -p " .. terminal.home)
end

-- describe, where there is tmux.
function terminal.describe(describe, pending)
  if select(2, terminal.shell("command -v tmux")) then return describe end
  return function(name)
    describe(name, function() pending("tmux is not installed") end)
  end
end

return terminal

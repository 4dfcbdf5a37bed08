-- Programs that have the terminal meanwhile: a command of the system's shell, the editor, the
-- pager. The tasks go on behind them; interrupts are theirs, and what others have to say is held
-- back until they end.

local signals = require "repl.signals"
local status = require "repl.status"
local system = require "repl.system"
local text = require "repl.text"
local pump = require "pump"

local programs = {}

-- A variable of the environment, nil where it is empty.
local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- The terminal is somebody else's until the value that is returned is closed.
local function lend(out)
  out:flush()
  io.stderr:flush()
  signals.deaf(true)
  out:lend()
  return setmetatable({}, { __close = function()
    signals.deaf(false)
    out:take_back()
  end })
end

local function wait_for(pid)
  local result = system.reap(pid)
  while not result do
    pump.sleep(0.02)
    result = system.reap(pid)
  end
  return result
end

-- Runs a command to its end; its exit status.
local function run(out, command)
  local _ <close> = lend(out)
  local pid, message = system.spawn(command)
  if not pid then error(message, 0) end
  return wait_for(pid)
end

function programs.shell(session, given)
  local result = run(session.out, given.LINE or variable("SHELL") or "sh")
  if result ~= 0 then session.out:note(string.format("exit status %d", result)) end
end

---- The editor ----------------------------------------------------------------------------------

local function read_file(path)
  local file = io.open(path, "r")
  local content = file and file:read("a")
  if file then file:close() end
  return content
end

-- Lets the person edit a file. Returns what is in it then, nil where it is what it was.
local function edited(out, path)
  local before = read_file(path)
  local editor = variable("VISUAL") or variable("EDITOR")
  if not editor and not (system.is_terminal(0) and system.is_terminal(1)) then
    error("e: vi wants a terminal; set EDITOR to something that needs none, or say \\i FILE", 0)
  end
  editor = editor or "vi"
  local result = run(out, editor .. " '" .. path:gsub("'", "'\\''") .. "'")
  if result ~= 0 then
    error(string.format("e: %s ended with exit status %d; nothing is run", text.safe(editor),
      result), 0)
  end
  local after = read_file(path)
  if not after then error(string.format("e: %s cannot be read", text.safe(path)), 0) end
  return after ~= before and after or nil
end

function programs.edit(session, given, shell)
  local path, remove = given.FILE, nil
  if not path then
    path = assert(system.temporary(".lua"))
    remove = setmetatable({}, { __close = function() os.remove(path) end })
    local file = assert(io.open(path, "w"))
    file:write(shell.last_chunk or "", "\n")
    file:close()
  end
  local _ <close> = remove
  local source = edited(session.out, path)
  if not source then return session.out:note("nothing was changed, nothing is run") end
  shell:feed_first(source)
end

---- The pager -----------------------------------------------------------------------------------

-- Raised where more is written when the person has left the pager: they have seen enough.
local enough = status.error("enough", "the pager was left")

local pager_class = {}
pager_class.__index = pager_class

local block = 8192

-- How many lines of the terminal a text takes, or more than `most`.
local function height(s, columns, most)
  if #s > 16 * columns * most then return most + 1 end
  local lines = 0
  for line in (s:gsub("\27%[[%d;]*m", "")):gmatch("[^\n]+") do
    lines = lines + (text.width(line) - 1) // columns
  end
  return lines + select(2, s:gsub("\n", ""))
end

function pager_class:push()
  local bytes, at = table.concat(self.pieces), 1
  self.pieces, self.size = {}, 0
  while at <= #bytes do
    local put = system.write(self.fd, bytes, at)
    if not put then error(enough, 0) end
    if put == 0 then pump.sleep(0.02) end -- the person reads
    at = at + put
  end
end

-- What fits on the screen stays; with more the pager begins.
function pager_class:write(s)
  self.pieces[#self.pieces + 1] = s
  self.size = self.size + #s
  if not self.fd then
    self.lines = self.lines + height(s, self.columns, self.rows)
    if self.lines < self.rows then return end
    local pid, fd = system.feed(self.command)
    if not pid then error("the pager did not start: " .. fd, 0) end
    self.pid, self.fd, self.lent = pid, fd, lend(self.out)
    self:push()
  elseif self.size >= block then
    self:push()
  end
end

function pager_class:finish()
  self.out.pager = nil
  if not self.fd then return self.out:write(table.concat(self.pieces)) end
  local _ <close> = self.lent
  local ok, err = pcall(self.push, self)
  system.close(self.fd)
  local result = wait_for(self.pid)
  if result == 127 then
    error("the pager did not start: set PAGER to one that is there, or \\set pager off", 0)
  elseif not ok and err ~= enough then
    error(err, 0)
  end
end

-- less shows colours, and leaves alone what fits on one screen; it may be told otherwise.
local default_pager = "command -v less >/dev/null && exec less; exec more"

-- Runs fn, and what it writes goes through the pager if it is taller than the screen.
function programs.paged(out, is_wanted, fn)
  local command = os.getenv("PAGER") or default_pager
  if not is_wanted or not out:is_terminal() or out.pager or not system.is_terminal(0)
    or not command:find("%S") or os.getenv("TERM") == "dumb" then
    return fn()
  end
  local rows, columns = system.size()
  out.pager = setmetatable({
    out = out, rows = rows - 1, columns = columns, lines = 0, pieces = {}, size = 0,
    command = "LESS=${LESS-FRX}; export LESS; " .. command,
    task = require("pump.scheduler").running(),
  }, pager_class)
  local pager = out.pager
  local ok, err = pcall(fn)
  pager:finish()
  if not ok and err ~= enough then error(err, 0) end
end

return programs

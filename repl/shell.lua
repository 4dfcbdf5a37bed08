-- The interactive shell, and the same lines when they are piped in.

local args = require "repl.args"
local commands = require "repl.commands"
local driver = require "repl.driver"
local eval = require "repl.eval"
local follow = require "repl.follow"
local history = require "repl.history"
local names = require "repl.names"
local programs = require "repl.programs"
local signals = require "repl.signals"
local status = require "repl.status"
local system = require "repl.system"
local text = require "repl.text"

local shell = {}
shell.__index = shell

function shell.new(session)
  return setmetatable({
    session = session, out = session.out, scope = eval.scope(_G),
    queue = {}, chunk = nil, status = status.fine,
  }, shell)
end

function shell:leave()
  self.leaving = true
end

-- An error in one line, or with its traceback where that is wanted.
function shell:report(err, traceback)
  local message = status.line(err)
  if self.session.settings.traceback == "on" then
    message = tostring(err) .. "\n" .. (traceback or "")
  end
  if self.status == status.fine then self.status = status.of(err) end
  self.out:error(message)
end

---- Lines ---------------------------------------------------------------------------------------

local deepest = 20 -- of files that run files

-- Puts the lines of a text before those that wait.
function shell:feed_first(source)
  local lines, depth = {}, 0
  for _, line in ipairs(self.queue) do depth = depth + (line and 0 or 1) end
  if depth >= deepest then error("files run files too deeply: does one run itself?", 0) end
  for line in (source:gsub("\n$", "") .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  lines[#lines + 1] = false -- the text ends here: what is not finished now is an error
  table.move(self.queue, 1, #self.queue, #lines + 1)
  table.move(lines, 1, #lines, 1, self.queue)
end

local function words_of(line)
  local name, rest = line:match("^%s*\\(!)%s*(.*)$")
  if not name then name, rest = line:match("^%s*\\(%S*)%s*(.*)$") end
  return name, rest
end

-- The function that a \command line is, or nil when it is wrong.
function shell:command(line)
  local name, rest = words_of(line)
  local command, err = commands.find(name, "shell")
  local given
  if command then
    given, err = args.parse(command, args.from_line(rest))
    if not given then
      err = string.format("%s: %s (\\%s)", command.name, err, args.brief_usage(command))
    end
  end
  if not given then
    self:report(err)
    return nil
  end
  local function fn()
    commands.run(command, self.session, given, self)
    if given.STREAM then names.see_stream(given.STREAM) end
  end
  if command.only ~= "shell" then self.last_fn = fn end
  return fn
end

-- The function that lines of Lua are; nil when they are wrong or want another line.
function shell:lua(source)
  local fn, err, unfinished = self.scope:compile(source)
  if unfinished then
    self.chunk = source
    return nil
  end
  self.chunk = nil
  if self.typed then self:remember(source) end
  if not fn then
    self:report(err)
    return nil
  end
  self.last_chunk = source
  self.last_fn = function()
    local values = table.pack(fn())
    if values.n > 0 then rawset(_G, "_", values[1]) end
    programs.paged(self.out, self.session:pages(), function() self.session:echo(values) end)
  end
  return self.last_fn
end

local words = { help = "\\?", exit = "\\q", quit = "\\q" }

-- What is to be run for one more line, if anything is.
function shell:understand(line)
  if not line then
    local unfinished = self.chunk
    self.chunk = nil
    if unfinished then self:report("the last lines are not finished: " .. unfinished) end
    return nil
  end
  if self.chunk then return self:lua(self.chunk .. "\n" .. line) end
  local bare = line:match("^%s*(.-)%s*$")
  if bare == "" then return nil end
  bare = words[bare] or bare:gsub("^help%s+(\\?%S+)$", "\\? %1")
  if bare:sub(1, 1) ~= "\\" then return self:lua(line) end
  if self.typed then self:remember(line) end
  return self:command(bare)
end

function shell:remember(entry)
  if entry:find("^%s") or entry == self.last_entry then return end
  self.last_entry = entry
  if history.is_secret(entry) then return end
  self.editor.remember(entry)
  history.add(entry)
end

-- After a job: what went wrong, how long it took.
function shell:conclude(job, seconds)
  if job.interrupted then
    self.out:note("interrupted")
    if self.status == status.fine then self.status = status.interrupted end
  elseif job.failed then
    self:report(job.err, job.traceback)
  end
  self.session:tell_time(seconds)
end

---- Piped lines ---------------------------------------------------------------------------------

function shell:run_piped()
  local function next_line()
    if #self.queue > 0 then return table.remove(self.queue, 1) end
    local line
    local job, signal = driver.run(self.out, function() line = driver.read_line() end)
    if signal then self.status = status.interrupted
    elseif job.failed then self:report(job.err) end
    return line, true
  end
  while not self.leaving do
    local line, is_read = next_line()
    local fn = self:understand(line)
    if not line and is_read then break end
    if fn then
      local started = system.clock()
      local job, signal = driver.run(self.out, fn)
      self:conclude(job, system.clock() - started)
      if signal or self.out.broken then break end
    end
  end
  if self.status == status.fine and self.out.failed then return status.usage end
  return self.status
end

---- The terminal --------------------------------------------------------------------------------

-- Readline, unless it is not built in or PUMPSH_EDITOR=own wants the shell's own editor; none
-- where the terminal cannot move its cursor.
local function choose_editor()
  if not system.is_terminal(1) or os.getenv("TERM") == "dumb" then return require "repl.plain" end
  local found, editor = pcall(require, "repl.editor")
  return found and os.getenv("PUMPSH_EDITOR") ~= "own" and editor or require "repl.lines"
end

function shell:prompt()
  local place = text.safe(self.session:place())
  if self.chunk then return string.rep(" ", text.width(place) + 4) .. ".. " end
  return "pump " .. place .. "> "
end

function shell:show_prompt()
  self.out:flush()
  if not self.out.fresh then self.out:write("\n") end
  self.out:flush()
  signals.handled()
  signals.suspendable(true)
  self.shown_prompt = self:prompt()
  self.editor.start(self.shown_prompt)
  self.out.editor = self.editor
  self.prompting = true
end

-- The connection may be lost, and there again, while a line is typed.
function shell:renew_prompt()
  local prompt = self:prompt()
  if prompt == self.shown_prompt then return end
  self.out:make_way()
  self.shown_prompt = prompt
  self.editor.prompt(prompt)
end

function shell:prompt_is_gone()
  signals.suspendable(false)
  self.out.editor, self.out.hidden = nil, nil
  self.prompting = false
end

function shell:read_key()
  local line = self.editor.read()
  if line == false then return end
  self:prompt_is_gone()
  if line == nil then
    self:leave()
  elseif line:find("\n") then -- pasted, or recalled
    self:remember(line)
    self:feed_first(line)
  else
    self.queue[#self.queue + 1] = line
    self.typed = true
  end
end

function shell:start_next()
  local line = table.remove(self.queue, 1)
  local fn = self:understand(line)
  if #self.queue == 0 then self.typed = false end
  if not fn then return end
  self.started = system.clock()
  self.job = driver.start(fn)
end

function shell:on_interrupt()
  if self.job then
    self.queue = {}
    self.job:interrupt()
  elseif self.prompting then
    -- With nothing to drop it is for what goes on above.
    if self.editor.is_empty() and not self.chunk and follow.stop(self.session) > 0 then
      self.out:note("what was followed is followed no more")
      self.out:settle()
    end
    self.chunk = nil
    self.shown_prompt = self:prompt()
    self.editor.drop(self.shown_prompt)
    signals.handled()
  end
end

function shell:on_signals(caught)
  if caught.interrupt then self:on_interrupt() end
  if caught.terminate then self:leave() end
  if caught.resize then self.editor.resized() end
  if caught.suspend then
    self.editor.release()
    signals.suspend()
  end
  if caught.resume then self.editor.regain() end
end

function shell:turn()
  if not self.job and #self.queue == 0 and not self.prompting then self:show_prompt() end
  local busy = not self.prompting and not self.job
  if not busy then
    local ready, caught = driver.turn(self.out, self.prompting)
    if self.prompting then self:renew_prompt() end
    self.out:settle() -- signals and keys find the prompt where it belongs
    self:on_signals(caught)
    if ready and self.prompting then self:read_key() end
  end
  if self.job and self.job:is_done() then
    local job = self.job
    self.job = nil
    self:conclude(job, system.clock() - self.started)
  end
  if not self.job and not self.prompting and #self.queue > 0 then self:start_next() end
end

local function init_path()
  local home, config = os.getenv("HOME"), os.getenv("XDG_CONFIG_HOME")
  if config and config:sub(1, 1) == "/" then return config .. "/pumpsh/init.lua" end
  return home and home .. "/.config/pumpsh/init.lua"
end

function shell:run_init()
  local path = init_path()
  local file = path and io.open(path, "r")
  if not file then return end
  file:close()
  local chunk, err = loadfile(path)
  if not chunk then return self:report(err) end
  local job = driver.run(self.out, chunk)
  self:conclude(job, 0)
end

function shell:run(options)
  self.editor = choose_editor()
  self.out.interactive = true
  local complete = require "repl.complete"
  names.refresh(self.session)
  self.editor.completion(function(line, first, word)
    names.refresh(self.session)
    return complete.words(line, first, word, _G, { conn = self.session.conn or false })
  end)
  for _, entry in ipairs(history.load()) do self.editor.remember(entry) end
  if options.init then self:run_init() end
  while not self.leaving and not self.out.broken do self:turn() end
  self.editor.stop()
  self:prompt_is_gone()
  return status.fine
end

return shell

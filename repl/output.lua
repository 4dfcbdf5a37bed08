-- Where results and remarks go: data to standard output (or a file, \o), everything else to
-- standard error; both above the prompt while one stands on the terminal.

local driver = require "repl.driver"
local glyphs = require "repl.glyphs"
local signals = require "repl.signals"
local text = require "repl.text"
local status = require "repl.status"
local system = require "repl.system"
local paint = require "repl.paint"
local pump = require "pump"
local scheduler = require "pump.scheduler"

local output = {}
output.__index = output

-- Raised when nobody reads standard output any more: the end of `pumpsh … | head -1`.
output.nobody_reads = status.error("nobody_reads", "nobody reads the output")

local broken_pipe, interrupted_call = 32, 4 -- EPIPE and EINTR on Linux

-- What a pipe that has room takes at once, and as much is held back.
local page = 4096

function output.new()
  local self = setmetatable({
    terminal = system.is_terminal(1), fresh = true, room = 0, column = 0, began = 0, paused = 0,
  }, output)
  self.not_busy = setmetatable({}, { __close = function() self.busy = nil end })
  self.notes_terminal = system.is_terminal(2)
  if not self.terminal then io.stdout:setvbuf("full", page) end
  self:set_colour(true)
  return self
end

function output:set_colour(wanted)
  local no = os.getenv("NO_COLOR")
  self.colour = wanted and self.terminal and (no == nil or no == "") and
    os.getenv("TERM") ~= "dumb"
  self.paint = paint.painter(self.colour)
end

-- Columns that a table may take; no end when people don't look.
function output:width()
  if not self:is_terminal() then return math.huge end
  local _, columns = system.size()
  return columns
end

function output:is_terminal()
  return self.terminal and not self.file
end

-- The painter of what is written now.
function output:painter()
  return self.file and paint.painter(false) or self.paint
end

-- The colours of JSON that is written now, nil for none.
function output:colours()
  return self.colour and not self.file and paint.json or nil
end

-- An editor whose prompt stands on the terminal is taken out of the way before anything is
-- written, and put back by settle.
function output:make_way()
  if self.editor and not self.hidden then
    self.editor.hide()
    self.hidden = true
  end
end

-- Standard output goes nowhere any more.
function output:lose_reader()
  self.broken, self.held_back = true, nil
  error(output.nobody_reads, 0)
end

local function check(self, ok, message, number)
  if ok then return end
  if number == broken_pipe then self:lose_reader() end
  if number == interrupted_call then return end -- the interrupt has its own way
  error("cannot write the output: " .. message, 0)
end

-- Waits until the output can take some more: who reads it may be slow, and the connection does not
-- wait for that, nor do keys or an interrupt.
local function make_room(self, size)
  while self.room < size do
    local _, _, has_room = system.wait(false, nil, 0, false, true)
    if has_room then self.room = page else driver.wait_for_room() end
  end
  self.room = self.room - size
end

-- The terminal is another program's for a while (see repl/programs.lua).
function output:lend()
  self.lent, self.held = true, {}
end

function output:take_back()
  local held = self.held
  self.lent, self.held, self.fresh = nil, nil, true
  for _, note in ipairs(held) do self:note(note.text, note.kind) end
  if held.left_out then
    self:note(string.format("… and %s lines more", text.count(held.left_out)))
  end
end

local most_held = 100

local function hold(held, s, kind)
  if #held < most_held then
    held[#held + 1] = { text = s, kind = kind }
  else
    held.left_out = (held.left_out or 0) + 1
  end
end

-- Above the prompt the screen changes at most so often, and who writes works at most so long before
-- keys and other tasks get their turn.
local frame, turn = 0.03, 0.008

-- Gives others their turn, if it is time to, or when nothing is left to be shown.
function output:pause(is_drained)
  local now = system.clock()
  if not is_drained and now - self.began < turn then return end
  pump.sleep(math.max(0, self.paused + frame - now))
  self.paused, self.began = now, system.clock()
end

-- The next piece of a text: whole rows where a prompt may come to stand below them, before the rest
-- of a line.
local function piece_of(self, s, at)
  if not self.interactive then return s:sub(at, at + page - 1) end
  local _, columns = system.size()
  local stop
  stop, self.column = glyphs.rows(s, at, self.fresh and 0 or self.column, columns, page)
  return s:sub(at, stop)
end

-- Waits until so many bytes may follow a piece. What others show meanwhile has no part in its
-- colour.
local function wait_behind(self, piece, size)
  local colour = self.colour and piece:match("^.*(\27%[[%d;]*m)")
  if colour then io.stdout:write("\27[0m") end
  if self.editor and piece ~= "" and self.column == 0 then self:pause() end
  while self.lent do pump.sleep(0.05) end
  make_room(self, size)
  if self.terminal then self:make_way() end
  if colour then io.stdout:write(colour) end
end

-- Piece by piece: Ctrl-C is heard in between, however slow the terminal is.
local function put(self, s)
  local piece, at = "", 1
  while at <= #s do
    wait_behind(self, piece, math.min(page, #s - at + 1))
    piece, self.fresh = piece_of(self, s, at), false
    check(self, io.stdout:write(piece))
    at = at + #piece
  end
  self.fresh = s:sub(-1) == "\n"
end

function output:write(s)
  if s == "" then return end
  if self.pager and scheduler.running() == self.pager.task then
    self.pager:write(s)
  elseif self.file then
    local ok, message = self.file:write(s)
    if not ok then error(self:give_up(message), 0) end
  else
    while self.busy and coroutine.isyieldable() do pump.sleep(frame) end
    if self.busy then return put(self, s) end -- what cannot wait comes between
    self.busy = true -- what others write comes before or behind it
    local _ <close> = self.not_busy
    put(self, s)
  end
end

-- Data that is meant for people or came from outside: nothing in it may act on a terminal.
function output:print(s)
  self:write((self:is_terminal() and text.safe(s, true) or s) .. "\n")
end

-- A line of standard error, in the colour of its kind.
function output:note(s, kind)
  if self.lent then return hold(self.held, s, kind) end
  self:flush()
  if self.notes_terminal then
    if self.progress then
      io.stderr:write("\r\27[K")
      self.progress = nil
    end
    if not self.fresh and self.terminal then io.stderr:write("\n") end
    self:make_way()
    self.fresh = true
  end
  local shown = text.safe(s, true)
  io.stderr:write(kind and self.notes_terminal and self.paint(shown, kind) or shown, "\n")
end

-- In the shell nobody asks whose error it is.
function output:error(message)
  self:note(self.interactive and message or "pumpsh: " .. message, "error")
end

-- How far something is: one line that is written over, on a terminal only. nil takes it away.
function output:show_progress(s)
  if not self.notes_terminal or self.lent or (s == nil and not self.progress) then return end
  self:flush()
  self:make_way()
  io.stderr:write("\r\27[K", s and text.safe(s) or "")
  self.progress = s
end

function output:flush()
  if self.broken then return end
  self.held_back = not self.terminal and not select(3, system.wait(false, nil, 0, false, true))
  if not self.held_back then
    self.room = 0
    check(self, io.stdout:flush())
  end
  if not self.file then return end
  local ok, message = self.file:flush()
  if not ok then self:error(self:give_up(message)) end
end

-- Everything written is seen, and the prompt stands below it.
function output:settle()
  self:flush()
  if self.hidden then
    self.hidden = nil
    if not self.fresh then
      io.stdout:write("\n")
      io.stdout:flush()
      self.fresh = true
    end
    self.editor.show()
  end
end

-- Waits until all is out, but not for who does not read when the person wants no more. Returns
-- whether it is.
function output:drain(is_interrupted)
  self:settle()
  while self.held_back and not is_interrupted do
    system.wait(false, nil, nil, false, true)
    local caught = signals.taken() or {}
    is_interrupted = caught.interrupt or caught.terminate
    self:flush()
  end
  if self.held_back then system.close(1) end
  return not self.held_back
end

-- The file that results go to cannot be written: they come to standard output again.
function output:give_up(message)
  local path = self.path
  self.file:close()
  self.file, self.path, self.failed = nil, nil, true
  return string.format("cannot write %s: %s; results are shown again", path, message)
end

-- Redirects data to a file, or back with nil.
function output:redirect(path)
  local file, message
  if path then
    file, message = io.open(path, "w")
    if not file then return nil, message end
  end
  if self.file then
    local ok, problem = self.file:close()
    if not ok then
      self.failed = true
      self:error(string.format("cannot write %s: %s", self.path, problem))
    end
  end
  self.file, self.path = file, path
  return true
end

return output

-- The loop of the program: it waits for keys, signals and the module's own loop at once, so that
-- no task ever waits for another, and nothing waits for the person.

local pump = require "pump"
local scheduler = require "pump.scheduler"
local signals = require "repl.signals"
local system = require "repl.system"

local driver = {}

-- A task that reads standard input waits for the first one, which nothing but input ends. One that
-- writes to who reads slowly waits for the second one.
local input_gate, room_gate

-- One turn: everything written is shown, whatever comes first is waited for, the tasks go on.
-- Returns whether input can be read by the caller, and the signals that came.
function driver.turn(out, want_input)
  out:settle()
  io.stderr:flush()
  local ready, is_unread, has_room = system.wait(want_input or input_gate, pump.loop:pollfd(),
    pump.loop:timeout(), out.needs_reader, room_gate or out.held_back)
  local caught = signals.taken() or {}
  if is_unread then out:lose_reader() end
  if ready and input_gate and not want_input then
    input_gate:cancel("there is input")
    input_gate = nil
  end
  if has_room and room_gate then
    room_gate:cancel("there is room")
    room_gate = nil
  end
  pump.loop:step(0)
  return ready, caught
end

local ended = { done = true, failed = true, cancelled = true }

local job_class = {}
job_class.__index = job_class

function job_class:is_done()
  return ended[self.task.status] or self.abandoned
end

function job_class:cancel()
  self.interrupted = true
  self.task:cancel("interrupted")
  return self.task.cancelled
end

-- Somebody wants it to end: the first time it is cancelled, the second time nobody waits for it.
function job_class:interrupt()
  self.abandoned = self.asked
  self.asked = true
  self:cancel()
end

-- A function that runs as a task. When it is done, job.failed tells whether it failed, job.err
-- with what, and job.traceback where.
function driver.start(fn)
  local job = setmetatable({}, job_class)
  local function note_failure(err)
    job.failed, job.err = true, err
    job.traceback = debug.traceback(nil, 2):gsub("^\n", "")
  end
  job.task = pump.spawn(function() xpcall(fn, note_failure) end)
  signals.on_interrupt(function()
    local running = scheduler.running()
    if running and running.gives_way then return false end
    return job:cancel()
  end)
  return job
end

-- Runs a function to its end. An interrupt or SIGTERM cancels it, a second one abandons it.
-- Returns the job and which signal it was.
function driver.run(out, fn)
  local job, signal = driver.start(fn), nil
  while not job:is_done() do
    local _, caught = driver.turn(out)
    local came = caught.interrupt and "interrupt" or caught.terminate and "terminate"
    if came then
      signal = came
      job:interrupt()
    end
  end
  local late = signals.taken() or {}
  if job.interrupted and not signal then signal = late.terminate and "terminate" or "interrupt" end
  signals.handled()
  return job, signal
end

-- Waits until standard output may have room. Where a wait turns the loop in place nobody looks
-- meanwhile, so it does not last.
function driver.wait_for_room()
  local gate = room_gate or pump.spawn(pump.sleep, 0.05)
  room_gate = gate
  gate:join()
  if room_gate == gate then room_gate = nil end
end

-- Standard input as a task reads it: the task waits, the others go on.
local rest, read_at, at_end = "", 1, false

local function more()
  if not system.wait(true, nil, 0) then
    input_gate = input_gate or pump.spawn(pump.sleep, math.huge)
    input_gate:join()
  end
  local bytes, message = system.read()
  if not bytes then error("cannot read standard input: " .. message, 0) end
  at_end = bytes == ""
  return bytes
end

-- Ctrl-D ends one text, not the terminal.
local function end_text()
  at_end = not system.is_terminal(0)
end

-- The next line without its end, or nil.
function driver.read_line()
  while true do
    local line, stop = rest:match("^([^\n]*)\n()", read_at)
    if line then
      read_at = stop
      return line
    end
    local pieces = { rest:sub(read_at) }
    while not at_end do
      pieces[#pieces + 1] = more()
      if pieces[#pieces]:find("\n", 1, true) then break end
    end
    rest, read_at = table.concat(pieces), 1
    if at_end and not rest:find("\n", 1, true) then
      local last = rest
      rest = ""
      end_text()
      return last ~= "" and last or nil
    end
  end
end

-- All that is left.
function driver.read_all()
  local pieces = { rest:sub(read_at) }
  rest, read_at = "", 1
  while not at_end do pieces[#pieces + 1] = more() end
  end_text()
  return table.concat(pieces)
end

return driver

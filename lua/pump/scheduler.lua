-- Waiting for answers of pump.core.
--
-- Whatever waits, waits here, in one of three ways. Code of a task yields WAIT to the scheduler and
-- is resumed with the answer. A coroutine of the host, where there is one (adapter.lua), waits by
-- the host's means. Everything else (the main chunk, a coroutine that pump knows nothing of, a
-- callback of table.sort) turns the loop in place until the answer is there, and the tasks go on
-- meanwhile. Tasks are only ever resumed when uv_run has returned, so the last way is legal
-- anywhere, inside of the others too.
--
-- To be woken there are boxes, tables with `done` (and `resume`, a function, where the host waits),
-- and tasks, which have a coroutine `co`, `waits` while they do, and in their metatable __stopped,
-- told whenever the coroutine stops. What tasks are beyond that is in task.lua.
local core = require "pump.core"
local errors = require "pump.error"

-- What a coroutine yields to wait, to be closed as it was cancelled and does not end, and, in a
-- generator of pump.wrap, to have the coroutine of the host that it is used in wait for a box.
-- Functions, as these are equal to nothing else: a table could be, to one with __eq.
local WAIT, KILL, HOLD = function() end, function() end, function() end

-- How often a cancelled task may catch the error and go on to wait before it is closed.
local PATIENCE = 100
-- How deep waits may be nested in waits of coroutines that are no tasks. Lua ends with "C stack
-- overflow" at some 30.
local MAX_DEPTH = 20
-- A script's own ^C is a debug hook, which runs only when Lua does. A signal ends the loop's wait;
-- but for one that comes just before it, a long wait is done in slices.
local SLICE = 0.1

local M = {
  WAIT = WAIT,
  KILL = KILL,
  HOLD = HOLD,
  -- The adapter to the host's loop (adapter.lua), or nil.
  host = nil,
  held = 0, -- coroutines of the host that wait
  -- Connections, by the ticket of their notices (__notice takes them). They may be collected.
  listeners = setmetatable({}, { __mode = "v" }),
  -- Tasks that have not ended.
  live = {},
  -- Coroutines of pump.wrap, and what becomes of their waits: WAIT for those that reach the
  -- scheduler, HOLD for the host's, false for neither.
  passes_on = setmetatable({}, { __mode = "k" }),
}

-- Who gets the answer of a ticket.
local waiting = {}
local running    -- the task that is being run, though perhaps not its own coroutine
local resumed    -- the coroutine of the host that goes on now, as what it waited for has come
local depth = 0  -- of waits that turn the loop in place
local ready = {} -- tasks that were woken, and what with
local ready_first, ready_last = 1, 0

local function can_yield()
  local co = coroutine.running()
  return running and (running.co == co or M.passes_on[co] == WAIT) and coroutine.isyieldable()
end

-- Whether the running coroutine is one that the host can let wait.
local function can_hold()
  if running or not M.host or not coroutine.isyieldable() then return false end
  local way = M.passes_on[coroutine.running()]
  if way == nil then return M.host.can_wait() end
  return way == HOLD
end

-- What a generator's waits come to that is used in the running coroutine.
function M.way_of_waits()
  return can_yield() and WAIT or can_hold() and HOLD or false
end

-- Raises when nothing may wait here: before each wait, and after. The task that runs may have been
-- cancelled; and what no coroutine is around of would make the host's loop stand still.
local function check_cancelled()
  local task = running
  if not task then
    if M.host and M.host.is_turning() and not can_hold() then
      errors.misuse("this would block the host's loop, which is turning: call it in a coroutine")
    end
  elseif task.cancelled then
    task.caught = task.caught + 1
    if task.caught > PATIENCE and can_yield() then
      coroutine.yield(KILL)
    end
    error(task.cancelled, 0)
  end
end

local function push_ready(waiter, ...)
  ready_last = ready_last + 1
  ready[ready_last] = table.pack(waiter, ...)
  if M.host then M.host.changed() end
end

-- Ends a wait. Only the first to do so counts.
local function wake(waiter, ...)
  if not waiter.co then
    if not waiter.done then
      waiter.done = table.pack(...)
      if waiter.waiter then wake(waiter.waiter, ...) end
      if waiter.resume then push_ready(waiter) end
    end
  elseif waiter.waits then
    waiter.waits = false
    push_ready(waiter, ...)
  end
end

local function stopped(task, outer, ...)
  running = outer
  getmetatable(task).__stopped(task, ...)
end

-- Runs a task until it stops to wait, or for good.
local function resume(task, ...)
  if not M.live[task] then return end -- it was cancelled before it began
  local outer = running
  running = task
  task.status = "running"
  stopped(task, outer, coroutine.resume(task.co, ...))
end

local function go_on(waiter, ...)
  if waiter.co then return resume(waiter, ...) end
  local outer, outer_resumed = running, resumed
  running, resumed = nil, waiter.held
  waiter.resume()
  running, resumed = outer, outer_resumed
end

local function deliver(ticket, ...)
  if not ticket then return false end
  local waiter = waiting[ticket]
  waiting[ticket] = nil
  if not waiter then
    local listener = M.listeners[ticket]
    if listener then getmetatable(listener).__notice(listener, ...) end
  elseif not waiter.co then
    wake(waiter, ...)
  elseif waiter.waits then
    waiter.waits = false
    resume(waiter, ...)
  end
  return true
end

local function run_ready()
  -- Only those that are ready now: a task that wakes itself must not keep the loop from turning.
  local last = ready_last
  while ready_first <= last do
    local entry = ready[ready_first]
    ready[ready_first] = nil
    ready_first = ready_first + 1
    go_on(table.unpack(entry, 1, entry.n))
  end
end

local function where_tasks_wait()
  local lines = {}
  for task in pairs(M.live) do
    lines[#lines + 1] = ("%s (%s)"):format(task.name, task.status)
  end
  table.sort(lines)
  return #lines > 0 and "; tasks: " .. table.concat(lines, ", ") or ""
end

-- Answers that have come are handled before the loop may bring more: so that no more pages wait
-- than come in one turn, however many tasks there are.
local function turn_until(box, task)
  while not box.done do
    run_ready()
    if task and task.cancelled and not box.shielded then break end
    if not box.done and not deliver(core.take()) then
      if ready_first <= ready_last then
        core.step(0)
      elseif core.idle() then
        error("this would wait for ever: nothing is under way that could end the wait"
          .. where_tasks_wait(), 0)
      else
        core.step(SLICE)
      end
    end
  end
end

-- Turns the loop until the box is done, or the task that it happens in is cancelled. Returns what
-- pcall does.
local function drive(box)
  if depth >= MAX_DEPTH then
    return false, "waits are nested too deeply: make generators that wait with pump.wrap, "
      .. "not with coroutine.wrap"
  end
  local outer_depth, outer = depth, running
  depth = depth + 1
  local ok, err = pcall(turn_until, box, running)
  depth, running = outer_depth, outer
  return ok, err
end

-- Whose waits they are, outside of tasks: a coroutine's of the host, or everything else's.
local main = { before_wait = false }
local of_host = setmetatable({}, { __mode = "k" })

local function owner_of_waits()
  if running then return running end
  return M.host and of_host[coroutine.running()] or main
end

-- Has fn called whenever the task that runs is about to wait, until the value that is returned is
-- closed. fn must not wait: what is to be waited for might come meanwhile, and be missed.
function M.before_waits(fn)
  local co = coroutine.running()
  if M.host and not of_host[co] then of_host[co] = { before_wait = false } end
  return require "pump.guard".new(owner_of_waits(), fn)
end

-- Waits for the box in what is no task. Returns what pcall does.
local function hold(box)
  if not can_hold() then return drive(box) end
  if M.passes_on[coroutine.running()] then return coroutine.yield(HOLD, box) end
  M.held = M.held + 1
  box.held = coroutine.running()
  local ok, err = pcall(M.host.wait, box)
  M.held = M.held - 1
  return ok, err
end

-- Waits until somebody wakes what `listen` was given, and returns what it was woken with.
-- `forget` undoes listen when the wait ends in another way.
local function wait(listen, forget)
  local before_wait = owner_of_waits().before_wait
  if before_wait then before_wait() end
  check_cancelled()
  if can_yield() then
    local task = running
    task.waits = true
    listen(task)
    local values = table.pack(coroutine.yield(WAIT))
    if forget then forget(task) end
    check_cancelled()
    return table.unpack(values, 1, values.n)
  end
  local box = { done = false }
  listen(box)
  local ok, err = hold(box)
  if forget then forget(box) end
  if not ok then error(err, 0) end
  check_cancelled()
  return table.unpack(box.done, 1, box.done.n)
end

-- The same among others, who are all in the set `waiters`; for so many seconds at most, nil: for
-- ever.
function M.wait_among(waiters, seconds)
  local ticket, timer
  return wait(function(waiter)
    waiters[waiter] = true
    if seconds then
      ticket, timer = core.after(seconds)
      waiting[ticket] = waiter
    end
  end, function(waiter)
    waiters[waiter] = nil
    if timer then
      waiting[ticket] = nil
      timer:cancel()
    end
  end)
end

local function after_await(ticket, ...)
  if running and running.cancelled then
    waiting[ticket] = nil
    check_cancelled()
  end
  return ...
end

-- The answer of a ticket. The path of every request, so it makes no closures.
function M.await(ticket)
  local before_wait = owner_of_waits().before_wait
  if before_wait then before_wait() end
  if can_yield() then
    local task = running
    if task.cancelled then check_cancelled() end
    waiting[ticket] = task
    task.waits = true
    return after_await(ticket, coroutine.yield(WAIT))
  end
  check_cancelled()
  local box = { done = false }
  waiting[ticket] = box
  local ok, err = hold(box)
  if not ok then
    waiting[ticket] = nil
    error(err, 0)
  end
  check_cancelled()
  return table.unpack(box.done, 1, box.done.n)
end

-- The answer of a ticket, for later: M.value waits for it, once. It may come before.
function M.later(ticket)
  local box = { done = false }
  waiting[ticket] = box
  return box
end

-- A task waits for a box by yielding.
local function yield_for(box)
  box.waiter, running.waits = running, true
  coroutine.yield(WAIT)
  box.waiter = nil
end

function M.value(box)
  check_cancelled()
  if not box.done then
    if can_yield() then
      yield_for(box)
    else
      -- A generator around an iterator must not yield to the coroutine of the host that uses it.
      local co = coroutine.running()
      local is_generator = resumed and resumed ~= co and not M.passes_on[co]
      local ok, err = (is_generator and drive or hold)(box)
      if not ok then error(err, 0) end
    end
  end
  check_cancelled() -- before it is taken: somebody else may ask for it yet
  local done = box.done
  box.done = nil -- a box that the collector takes for old must not keep a page
  return table.unpack(done, 1, done.n)
end

-- Waits for a ticket even in a task that was cancelled, and raises nothing: for closing things.
function M.settle(ticket)
  local box = { done = false, shielded = true }
  waiting[ticket] = box
  if can_yield() and not running.cancelled then
    yield_for(box)
  else
    hold(box)
  end
end

-- The task that is running, or nil.
function M.running()
  return running
end

M.can_yield = can_yield
M.check_cancelled = check_cancelled
M.hold = hold
M.push_ready = push_ready
M.resume = resume
M.run_ready = run_ready
M.wait = wait
M.wake = wake

---- The loop, for hosts ---------------------------------------------------------------------------

-- A program with a loop of its own waits until pollfd() is readable or timeout() seconds are
-- over, and then calls step(0). The names are those that cqueues takes for anything pollable.
local loop = {}
M.loop = loop

function loop.pollfd()
  return core.pollfd()
end

function loop.events()
  return "r"
end

-- nil: there is no need to come back before the descriptor is readable
function loop.timeout()
  if ready_first <= ready_last then return 0 end
  return core.timeout()
end

-- Whether anybody waits for what the loop brings: a task, or a coroutine of the host. An open
-- connection alone does not count.
function loop.busy()
  return M.held > 0 or ready_first <= ready_last or next(M.live) ~= nil
end

-- One turn: lets the tasks run that can, and waits for at most that many seconds if none can.
function loop.step(_, seconds)
  if seconds ~= nil and type(seconds) ~= "number" then
    errors.misuse("bad argument #1 to 'step' (seconds expected, got %s)", type(seconds))
  end
  run_ready()
  core.step(ready_first <= ready_last and 0 or seconds or SLICE)
  while deliver(core.take()) do end
  run_ready()
end

return M

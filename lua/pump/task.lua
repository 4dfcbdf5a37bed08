-- Tasks: coroutines that wait for answers of pump.core.
--
-- Whatever waits, waits here, in one of two ways. Code of a task yields WAIT to the scheduler and
-- is resumed with the answer. Everything else (the main chunk, a coroutine that pump knows
-- nothing of, a callback of table.sort) turns the loop in place until the answer is there, and
-- the tasks go on meanwhile. Tasks are only ever resumed when uv_run has returned, so the second
-- way is legal anywhere, inside of the first too.
local core = require "pump.core"
local errors = require "pump.error"

local WAIT = setmetatable({}, { __tostring = function() return "pump's WAIT" end })
local KILL = {}

-- How often a cancelled task may catch the error and go on to wait before it is closed.
local PATIENCE = 100
-- How deep waits may be nested in waits of coroutines that are no tasks. Lua ends with "C stack
-- overflow" at some 30.
local MAX_DEPTH = 20
-- A script's own ^C is a debug hook, which runs only when Lua does: so a wait that would last
-- longer is done in slices.
local SLICE = 1

local M = {}

local task_class = {}
task_class.__index = task_class
task_class.__name = "pump.task"

-- Who gets the answer of a ticket: a task, a box (a table with done), or a function.
local waiting = {}
-- Connections, by the ticket of their notices (__notice takes them). They may be collected.
local listeners = setmetatable({}, { __mode = "v" })
-- Coroutines of pump.wrap whose waits reach the scheduler.
local passes_on = setmetatable({}, { __mode = "k" })

local running           -- the task that is being run, though perhaps not its own coroutine
local depth = 0         -- of waits that turn the loop in place
local ready = {}        -- tasks that were woken, and what with
local ready_first, ready_last = 1, 0
local live = {}         -- all tasks that have not ended
local live_count = 0
local names = 0

---- Waiting ---------------------------------------------------------------------------------------

local function can_yield()
  local co = coroutine.running()
  return running and (running.co == co or passes_on[co]) and coroutine.isyieldable()
end

-- Raises when the task that runs was cancelled: before each wait, and after.
local function check_cancelled()
  local task = running
  if task and task.cancelled then
    task.caught = task.caught + 1
    if task.caught > PATIENCE and can_yield() then
      coroutine.yield(KILL)
    end
    error(task.cancelled, 0)
  end
end

local function push_ready(task, ...)
  ready_last = ready_last + 1
  ready[ready_last] = table.pack(task, ...)
end

-- Ends a wait. Only the first to do so counts.
local function wake(waiter, ...)
  if getmetatable(waiter) ~= task_class then
    if not waiter.done then
      waiter.done = table.pack(...)
      if waiter.waiter then wake(waiter.waiter, ...) end
    end
  elseif waiter.waits then
    waiter.waits = false
    push_ready(waiter, ...)
  end
end

local resume

local function deliver(ticket, ...)
  if not ticket then return false end
  local waiter = waiting[ticket]
  waiting[ticket] = nil
  if not waiter then
    local listener = listeners[ticket]
    if listener then getmetatable(listener).__notice(listener, ...) end
  elseif getmetatable(waiter) ~= task_class then
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
    resume(table.unpack(entry, 1, entry.n))
  end
end

local function where_tasks_wait()
  local lines = {}
  for task in pairs(live) do
    lines[#lines + 1] = ("%s (%s)"):format(task.name, task.status)
  end
  table.sort(lines)
  return #lines > 0 and "; tasks: " .. table.concat(lines, ", ") or ""
end

local function turn_until(box, task)
  while not box.done do
    run_ready()
    while not box.done and ready_first > ready_last and deliver(core.take()) do end
    if task and task.cancelled and not box.shielded then break end
    if not box.done then
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

-- Waits until somebody wakes what `listen` was given, and returns what it was woken with.
-- `forget` undoes listen when the wait ends in another way.
local function wait(listen, forget)
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
  local ok, err = drive(box)
  if forget then forget(box) end
  if not ok then error(err, 0) end
  check_cancelled()
  return table.unpack(box.done, 1, box.done.n)
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
  local ok, err = drive(box)
  if not ok then
    waiting[ticket] = nil
    error(err, 0)
  end
  check_cancelled()
  return table.unpack(box.done, 1, box.done.n)
end

-- The answer of a ticket, for later: M.value waits for it. It may come before.
function M.later(ticket)
  local box = { done = false }
  waiting[ticket] = box
  return box
end

function M.value(box)
  if box.done then
    check_cancelled()
    return table.unpack(box.done, 1, box.done.n)
  end
  return wait(function(waiter) box.waiter = waiter end, function() box.waiter = nil end)
end

-- Waits for a ticket even in a task that was cancelled, and raises nothing: for closing things.
function M.settle(ticket)
  local box = { done = false, shielded = true }
  waiting[ticket] = box
  if can_yield() and not running.cancelled then
    local task = running
    box.waiter = task
    task.waits = true
    coroutine.yield(WAIT)
    box.waiter = nil
  else
    drive(box)
  end
end

M.check_cancelled = check_cancelled
M.listeners = listeners

---- Tasks -----------------------------------------------------------------------------------------

local function with_traceback(err)
  if errors.is(err) then
    if not err.traceback then err.traceback = debug.traceback(nil, 2) end
    return { value = err, traceback = err.traceback }
  end
  return { value = err, traceback = debug.traceback(nil, 2) }
end

local function body(fn, ...)
  return xpcall(fn, with_traceback, ...)
end

-- What was spawned together: by a pump.run (driven), or by no task at all (root).
local function new_group(driven)
  return { tasks = {}, count = 0, waiter = {}, driven = driven }
end

local root = new_group(false)

-- What nobody handles: the run that the task belongs to raises it; outside of any run it goes to
-- M.on_error.
local function unhandled(task, failure)
  local group = task.group
  if group.driven then
    if not group.failure then
      group.failure = failure
      wake(group.waiter)
    end
  else
    M.on_error(task, failure.value, failure.traceback)
  end
end

local function finish(task, ok, ...)
  live[task] = nil
  live_count = live_count - 1
  if ok then
    task.status = "done"
    task.results = table.pack(...)
  else
    local failure = ...
    failure.task = task
    task.failure = failure
    task.status = failure.value == task.cancelled and task.cancelled and "cancelled" or "failed"
  end
  local joined = next(task.joiners) ~= nil
  for joiner in pairs(task.joiners) do
    wake(joiner, true)
  end
  if task.status == "failed" and not joined then unhandled(task, task.failure) end
  local group = task.group
  group.tasks[task] = nil
  group.count = group.count - 1
  if group.count == 0 then wake(group.waiter) end
end

local function fail(task, message)
  local failure = { value = message, traceback = debug.traceback(task.co) }
  coroutine.close(task.co)
  finish(task, false, failure)
end

local function stray_yield(task)
  local info = debug.getinfo(task.co, 1, "Sl")
  fail(task, ("%s:%d: coroutine.yield in a task, where nobody takes what it yields; "
    .. "make a generator with pump.wrap or coroutine.wrap, and wait with pump.sleep")
    :format(info and info.short_src or "?", info and info.currentline or 0))
end

local function resumed(task, outer, ok, first, ...)
  running = outer
  if coroutine.status(task.co) == "dead" then
    if ok then
      finish(task, first, ...)
    else -- not even xpcall could be run
      finish(task, false, { value = first, traceback = debug.traceback(task.co) })
    end
  elseif first == KILL then
    local failure = { value = task.cancelled, traceback = debug.traceback(task.co) }
    running = task
    coroutine.close(task.co)
    running = outer
    finish(task, false, failure)
  elseif first == WAIT then
    task.status = "waiting"
  else
    stray_yield(task)
  end
end

function resume(task, ...)
  if task.status == "cancelled" then return end -- before it had started
  local outer = running
  running = task
  task.status = "running"
  return resumed(task, outer, coroutine.resume(task.co, ...))
end

local function new_task(group, fn)
  if type(fn) ~= "function" then
    errors.misuse("a function expected to run as a task, got %s", type(fn))
  end
  names = names + 1
  local task = setmetatable({
    co = coroutine.create(body),
    name = "task " .. names,
    status = "ready",
    waits = false,
    caught = 0,
    joiners = {},
    group = group,
  }, task_class)
  live[task] = true
  live_count = live_count + 1
  group.tasks[task] = true
  group.count = group.count + 1
  return task
end

function task_class:__tostring()
  return ("pump.task{%s, %s}"):format(self.name, self.status)
end

local function cancel(task, why)
  if not live[task] or task.cancelled then return false end
  local message = why and tostring(why) or task.name .. " was cancelled"
  task.cancelled = errors.new("cancelled", message)
  if task.status == "ready" then
    finish(task, false, { value = task.cancelled, traceback = "" })
  else
    wake(task)
  end
  return true
end

-- Makes the task's wait, and every later one, raise an error with the code "cancelled".
-- Returns whether there was anything left to cancel.
function task_class:cancel(why)
  return cancel(self, why)
end

-- What the task returned; nil and its error if it failed. After timeout seconds nil and an error
-- with the code "timeout"; the task goes on.
function task_class:join(timeout)
  if timeout ~= nil and type(timeout) ~= "number" then
    errors.misuse("bad argument #1 to 'join' (seconds expected, got %s)", type(timeout))
  end
  if self == running then errors.misuse("a task cannot join itself") end
  check_cancelled()
  if live[self] then
    local ticket, timer
    wait(function(waiter)
      self.joiners[waiter] = true
      if timeout then
        ticket, timer = core.after(timeout)
        waiting[ticket] = waiter
      end
    end, function(waiter)
      self.joiners[waiter] = nil
      if timer then
        waiting[ticket] = nil
        timer:cancel()
      end
    end)
  end
  if live[self] then
    local message = ("%s did not end within %g seconds"):format(self.name, timeout)
    return nil, errors.new("timeout", message)
  elseif self.results then
    return table.unpack(self.results, 1, self.results.n)
  end
  return nil, self.failure.value
end

---- What the module offers ------------------------------------------------------------------------

-- Starts a task; it runs when its starter waits for the first time.
function M.spawn(fn, ...)
  local task = new_task(running and running.group or root, fn)
  push_ready(task, fn, ...)
  return task
end

-- Starts a task that belongs to nobody and runs it at once, up to its first wait.
function M.fire(fn, ...)
  local task = new_task(root, fn)
  resume(task, fn, ...)
  return task
end

-- Seconds, with fractions. 0 lets others run.
function M.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds then
    errors.misuse("bad argument #1 to 'sleep' (seconds expected, got %s)", type(seconds))
  end
  local ticket, timer = core.after(seconds)
  local ok, err = pcall(M.await, ticket)
  timer:cancel()
  if not ok then error(err, 0) end
end

local function raise(failure)
  local value, traceback = failure.value, failure.traceback
  if errors.is(value) then
    value.traceback = value.traceback or traceback
  elseif type(value) == "string" then
    value = ("%s\n(%s) %s"):format(value, failure.task.name, traceback)
  end
  error(value, 0)
end

local function cancel_all(group)
  for task in pairs(group.tasks) do
    cancel(task, "another task failed")
  end
end

-- Waits until every task of the group has ended; after a failure it ends them.
local function wait_for_group(group)
  while group.count > 0 and not group.failure do
    wait(function(waiter) group.waiter.waiter = waiter end)
    group.waiter = {}
  end
  if group.failure then
    cancel_all(group)
    while group.count > 0 do
      group.waiter = {}
      wait(function(waiter) group.waiter.waiter = waiter end)
    end
  end
end

-- Runs fn(...) as a task, with all that it spawns, until the last of them has ended. Returns what
-- fn returned. The first error that nobody handled ends the others and is raised. Without a
-- function: waits for what was spawned outside of tasks.
function M.run(fn, ...)
  local group = root
  local main
  if fn ~= nil then
    group = new_group(true)
    main = new_task(group, fn)
    main.name = "main task"
    push_ready(main, fn, ...)
  end
  group.driven = true
  local ok, err = pcall(wait_for_group, group)
  if not ok then
    cancel_all(group)
    run_ready()
  end
  local failure = group.failure
  if group == root then
    group.driven, group.failure, group.waiter = false, nil, {}
  end
  if not ok then error(err, 0) end
  if failure or main and main.failure then raise(failure or main.failure) end
  if main then return table.unpack(main.results, 1, main.results.n) end
end

-- A generator like coroutine.wrap's, in which waits reach the scheduler: inside a task they
-- suspend the task, and the others go on as ever.
function M.wrap(fn)
  if type(fn) ~= "function" then
    errors.misuse("bad argument #1 to 'wrap' (function expected, got %s)", type(fn))
  end
  local co = coroutine.create(fn)
  local step
  local function handle(ok, ...)
    if not ok then
      local err = ...
      coroutine.close(co)
      error(err, 0)
    elseif (...) == WAIT or (...) == KILL then
      return step(coroutine.yield((...)))
    end
    return ...
  end
  function step(...)
    return handle(coroutine.resume(co, ...))
  end
  return function(...)
    passes_on[co] = can_yield() and true or nil
    return step(...)
  end
end

-- The task that is running, or nil.
function M.current()
  return running
end

-- Tasks that have not ended.
function M.count()
  return live_count
end

-- What becomes of an error in a task that nobody joins and no pump.run waits for.
function M.on_error(task, err, traceback)
  io.stderr:write(("pump: %s failed: %s\n%s\n"):format(task.name, tostring(err), traceback))
end

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

-- One turn: lets the tasks run that can, and waits for at most that many seconds if none can.
function loop.step(_, seconds)
  run_ready()
  core.step(ready_first <= ready_last and 0 or seconds or SLICE)
  while deliver(core.take()) do end
  run_ready()
end

return M

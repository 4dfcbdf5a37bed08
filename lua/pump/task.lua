-- Tasks: coroutines whose waits let others go on, with names, results and an end that can be asked
-- for. How they wait is in scheduler.lua.
local core = require "pump.core"
local errors = require "pump.error"
local scheduler = require "pump.scheduler"

local live = scheduler.live
local wait, wake = scheduler.wait, scheduler.wake

local M = {}

local task_class = {}
task_class.__index = task_class
task_class.__name = "pump.task"

local count = 0 -- of the tasks that have not ended
local names = 0

-- The error stays what it is: those who close <close> variables are told of it, too.
local function keep_traceback(err)
  local task = scheduler.running()
  task.traceback = debug.traceback(nil, 2)
  if errors.is(err) then err.traceback = err.traceback or task.traceback end
  return err
end

local function body(fn, ...)
  return xpcall(fn, keep_traceback, ...)
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
  count = count - 1
  if ok then
    task.status = "done"
    task.results = table.pack(...)
  else
    local value = ...
    task.failure = { task = task, value = value, traceback = task.traceback or "" }
    task.status = task.cancelled and rawequal(value, task.cancelled) and "cancelled" or "failed"
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

local function fail(task, value)
  task.traceback = debug.traceback(task.co)
  coroutine.close(task.co)
  finish(task, false, value)
end

local function stray_yield(task)
  local info = debug.getinfo(task.co, 1, "Sl")
  fail(task, ("%s:%d: coroutine.yield in a task, where nobody takes what it yields; "
    .. "make a generator with pump.wrap or coroutine.wrap, and wait with pump.sleep")
    :format(info and info.short_src or "?", info and info.currentline or 0))
end

-- What the scheduler tells when the coroutine has stopped.
function task_class.__stopped(task, ok, first, ...)
  if coroutine.status(task.co) == "dead" then
    if ok then
      finish(task, first, ...)
    else -- not even xpcall could be run
      task.traceback = debug.traceback(task.co)
      finish(task, false, first)
    end
  elseif first == scheduler.WAIT then
    task.status = "waiting"
  elseif first == scheduler.KILL then
    fail(task, task.cancelled)
  else
    stray_yield(task)
  end
end

local function new_task(group, fn, where)
  if type(fn) ~= "function" then
    errors.misuse("bad argument #1 to '%s' (a function expected, got %s)", where, type(fn))
  end
  names = names + 1
  local task = setmetatable({
    co = coroutine.create(body),
    name = "task " .. names,
    status = "ready",
    waits = false,
    before_wait = false,
    caught = 0,
    joiners = {},
    group = group,
  }, task_class)
  live[task] = true
  count = count + 1
  group.tasks[task] = true
  group.count = group.count + 1
  return task
end

function task_class:__tostring()
  return ("pump.task{%s, %s}"):format(self.name, self.status)
end

local function cancel(task, why)
  if not live[task] or task.cancelled then return false end
  local message = why and errors.text(why) or task.name .. " was cancelled"
  task.cancelled = errors.new("cancelled", message)
  if task.status == "ready" then
    finish(task, false, task.cancelled)
  else
    wake(task)
  end
  return true
end

-- Makes the task's wait, and every later one, raise an error with the code "cancelled".
-- Returns whether there was anything left to cancel.
function task_class:cancel(why)
  if getmetatable(self) ~= task_class then errors.bad_self("cancel", "a task", self) end
  return cancel(self, why)
end

-- What the task returned; nil and its error if it failed. After timeout seconds nil and an error
-- with the code "timeout"; the task goes on.
function task_class:join(timeout)
  if getmetatable(self) ~= task_class then errors.bad_self("join", "a task", self) end
  if timeout ~= nil and type(timeout) ~= "number" then
    errors.misuse("bad argument #1 to 'join' (seconds expected, got %s)", type(timeout))
  end
  if self == scheduler.running() then
    errors.misuse("bad call of 'join' (a task cannot join itself)")
  end
  scheduler.check_cancelled()
  if live[self] then scheduler.wait_among(self.joiners, timeout) end
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
  local running = scheduler.running()
  local task = new_task(running and running.group or root, fn, "spawn")
  scheduler.push_ready(task, fn, ...)
  return task
end

-- Starts a task that belongs to nobody and runs it at once, up to its first wait.
function M.fire(fn, ...)
  local task = new_task(root, fn, "fire")
  scheduler.resume(task, fn, ...)
  return task
end

-- Seconds, with fractions. 0 lets others run.
function M.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds then
    errors.misuse("bad argument #1 to 'sleep' (seconds expected, got %s)", type(seconds))
  end
  local ticket, timer = core.after(seconds)
  local ok, err = pcall(scheduler.await, ticket)
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
    main = new_task(group, fn, "run")
    main.name = "main task"
    scheduler.push_ready(main, fn, ...)
  end
  group.driven = true
  local ok, err = pcall(wait_for_group, group)
  if not ok then
    cancel_all(group)
    scheduler.run_ready()
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
    elseif (...) == scheduler.WAIT or (...) == scheduler.KILL then
      return step(coroutine.yield((...)))
    elseif (...) == scheduler.HOLD then
      return step(scheduler.hold((select(2, ...))))
    end
    return ...
  end
  function step(...)
    return handle(coroutine.resume(co, ...))
  end
  return function(...)
    scheduler.passes_on[co] = scheduler.way_of_waits()
    return step(...)
  end
end

-- Tasks that have not ended.
function M.count()
  return count
end

-- What becomes of an error in a task that nobody joins and no pump.run waits for.
function M.on_error(task, err, traceback)
  io.stderr:write(("pump: %s failed: %s\n%s\n"):format(task.name, errors.text(err), traceback))
end

return M

-- luv turns pump's loop. Before luv's loop sleeps it asks pump's how long it may, and polls its
-- descriptor meanwhile. Every coroutine that is not pump's counts as luv's: such a one waits by
-- coroutine.yield and is resumed from a callback.
--
-- The handles keep luv's loop going only while somebody waits: an open connection alone does not,
-- though it is looked after for as long as the loop turns for other reasons.
local scheduler = require "pump.scheduler"
local uv = require "luv"

local loop = scheduler.loop
local poll, timer, before_sleep

local M = {}

-- A coroutine that dies does so as a callback of luv's would: with an error that luv reports.
local function raise_in_luv(text)
  local at_once = uv.new_timer()
  at_once:start(0, 0, function()
    at_once:close()
    error(text, 0)
  end)
end

local function turn()
  loop:step(0)
end

local function look_ahead()
  local seconds = loop:timeout()
  if seconds == 0 then
    turn()
    seconds = loop:timeout()
  end
  if seconds then
    timer:start(math.ceil(seconds * 1000), 0, turn)
  else
    timer:stop()
  end
  if loop:busy() then poll:ref() else poll:unref() end
end

-- The handles stay when they are stopped: luv 1.44 crashes at the end of a program in which one was
-- closed and its loop did not turn any more.
function M.start()
  if not poll then
    poll, timer, before_sleep = uv.new_poll(loop:pollfd()), uv.new_timer(), uv.new_prepare()
    for _, handle in ipairs { poll, timer, before_sleep } do handle:unref() end
  end
  poll:start("r", turn)
  before_sleep:start(look_ahead)
end

function M.stop()
  for _, handle in ipairs { poll, timer, before_sleep } do handle:stop() end
end

function M.can_wait()
  return coroutine.isyieldable()
end

function M.is_turning()
  return uv.loop_mode() ~= nil
end

function M.changed()
  poll:ref()
end

function M.wait(box)
  local co = coroutine.running()
  function box.resume()
    local ok, err = coroutine.resume(co)
    if ok then return end
    raise_in_luv(type(err) == "string" and debug.traceback(co, err) or tostring(err))
    coroutine.close(co)
  end
  M.changed()
  coroutine.yield(scheduler.WAIT)
  if not box.done then
    error("this coroutine waits for pump, and something else resumed it: "
      .. "make generators that wait with pump.wrap, not with coroutine.wrap", 0)
  end
end

return M

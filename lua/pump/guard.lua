-- Functions that are called whenever somebody is about to wait: scheduler.before_waits.
--
-- Each stands in a guard, a local <close> of the coroutine that it is for. Of a coroutine that is
-- left, and never ends, nothing is kept by those that go on.
local guards_class = { __mode = "k" }

function guards_class.__call(guards)
  local list = {} -- a finaliser may come between, and change them
  for guard in pairs(guards) do list[#list + 1] = guard end
  for _, guard in ipairs(list) do guard.fn() end
end

local guard_class = {}

function guard_class.__close(guard)
  local guards = guard.owner.before_wait
  guards[guard] = nil
  if next(guards) == nil then guard.owner.before_wait = false end
end

local M = {}

-- owner.before_wait() calls fn until the value that is returned is closed.
function M.new(owner, fn)
  local guard = setmetatable({ owner = owner, fn = fn }, guard_class)
  owner.before_wait = owner.before_wait or setmetatable({}, guards_class)
  owner.before_wait[guard] = true
  return guard
end

return M

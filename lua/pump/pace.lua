-- How much to have under way.
--
-- Whoever has to wait for an answer that comes soon waits for the way there and back more than for
-- what is done there, and asks for twice as much from then on. Whoever waits long asks for less:
-- what is under way together must not come near its timeout.
local M = {}

-- Seconds that an answer may take for more to be asked, and for it not to become less. Both are
-- shorter where the timeout is.
local SOON, LATE = 0.25, 1
local PART_OF_TIMEOUT = 1 / 4

local pace_class = {}
pace_class.__index = pace_class

-- From `least`, which it begins with, to `most`; timeout: seconds of a request, or nil.
function M.new(least, most, timeout)
  local late = math.min(LATE, (timeout or math.huge) * PART_OF_TIMEOUT)
  return setmetatable({
    size = least, least = least, most = most, soon = late * SOON / LATE, late = late,
  }, pace_class)
end

-- Somebody waited for an answer, which came so many seconds after it was asked for.
function pace_class:waited(seconds)
  if seconds < self.soon then
    self.size = math.min(self.size * 2, self.most)
  elseif seconds > self.late then
    self.size = math.max(self.size // 2, self.least)
  end
end

return M

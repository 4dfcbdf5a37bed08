-- How much to have under way.
--
-- Whoever has to wait for answers that come soon waits for the way there and back more than for
-- what is done there, and asks for twice as much from then on. Whoever waits long asks for less:
-- what is under way together must not come near its timeout. One answer says nothing, as any
-- machine is busy now and then: some are looked at together. And an answer from nearby is not worth
-- it: more of them under way would only stand in line there.
local M = {}

local LOOKED_AT = 4
-- Seconds that an answer from nearby takes; that one may take for more to be asked, and for it not
-- to become less. The last two are shorter where the timeout is.
local NEAR, SOON, LATE = 0.002, 0.25, 1
local PART_OF_TIMEOUT = 1 / 4

local pace_class = {}
pace_class.__index = pace_class

-- From `least`, which it begins with, to `most`; timeout: seconds of a request, or nil.
function M.new(least, most, timeout)
  local late = math.min(LATE, (timeout or math.huge) * PART_OF_TIMEOUT)
  return setmetatable({
    size = least, least = least, most = most, soon = late * SOON / LATE, late = late,
    answers = 0, waits = 0, longest = 0,
  }, pace_class)
end

local function look(pace)
  local twice = pace.size * 2
  if pace.longest > pace.late then
    pace.size = math.max(pace.size // 2, pace.least)
  -- What is twice as much is waited for half as often.
  elseif pace.longest < pace.soon and pace.waits * twice >= LOOKED_AT * pace.least then
    pace.size = math.min(twice, pace.most)
  end
end

-- An answer was taken, for which somebody waited until so many seconds after it was asked for; nil:
-- it was there already.
function pace_class:took(seconds)
  self.answers = self.answers + 1
  if seconds and seconds > NEAR then
    self.waits = self.waits + 1
    self.longest = math.max(self.longest, seconds)
  end
  if self.answers < LOOKED_AT then return end
  look(self)
  self.answers, self.waits, self.longest = 0, 0, 0
end

return M

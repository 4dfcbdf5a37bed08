-- How far long work is: one line on standard error that is written over, on a terminal only.

local system = require "repl.system"
local text = require "repl.text"

local interval = 0.5

local progress = {}
progress.__index = progress

-- verb: "read". with_data: what is worked on is shown on the terminal itself, perhaps; that it
-- moves is seen then.
function progress.new(out, verb, with_data)
  local now = system.clock()
  return setmetatable({
    out = out, verb = verb, count = 0, started = now, shown = now,
    is_quiet = not out.notes_terminal or with_data and out:is_terminal(),
  }, progress)
end

-- One more is done.
function progress:step()
  self.count = self.count + 1
  if self.is_quiet then return end
  local now = system.clock()
  if now - self.shown < interval then return end
  self.shown = now
  self.out:show_progress(string.format("%s %s events, %s a second", self.verb,
    text.count(self.count), text.count(math.floor(self.count / (now - self.started)))))
end

function progress:__close()
  self.out:show_progress(nil)
end

return progress

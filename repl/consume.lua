-- Events of a group, as one of its consumers: consume, and in the shell \ack and \nack, which go by
-- the numbers that the events were shown with.

local follow = require "repl.follow"
local text = require "repl.text"

local consume = {}

local most_shown = 1000 -- events that may be answered; of older ones the group has lost patience

local function check(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- A writer whose events are done with as soon as they are seen.
local function acking(session, sub, writer)
  return {
    add = function(_, event)
      writer:add(event)
      session.out:flush()
      check(sub:ack(event))
    end,
    settle = function() writer:settle() end,
  }
end

-- A writer that numbers what it shows.
local function numbering(session, sub, writer)
  local shown = session.shown
  return {
    add = function(_, event)
      shown.last = shown.last + 1
      shown[shown.last] = { sub = sub, event = event }
      shown[shown.last - most_shown] = nil
      local tries = event.retry_count
      local label = string.format("#%d %s", shown.last,
        tries and tries > 0 and string.format("(retry %d) ", tries) or "")
      if session.format ~= "table" or session.expanded then session.out:note(label, "dim") end
      writer:add(event, label)
    end,
    settle = function() writer:settle() end,
  }
end

-- Elsewhere than in the shell nobody could ack what is not done with by itself.
function consume.run(session, given)
  local stream, group = given.STREAM, given.GROUP
  local is_shell, writer = session.out.interactive, session:events { live = true }
  follow.show(session, stream .. "::" .. group, function()
    local sub = check(session:connection():connect_subscription(group, stream))
    if given["auto-ack"] then return sub, acking(session, sub, writer) end
    if is_shell then return sub, numbering(session, sub, writer) end
    if not session.quiet then
      session.out:note("pumpsh: without --auto-ack the group gives these events to others, too")
    end
    return sub, writer
  end)
end

-- What was shown under a number, or all that has no answer yet: lists of events, by subscription.
local function shown_events(session, command, number)
  local shown, lists, count = session.shown, {}, 0
  local first = number or math.max(1, shown.last - most_shown + 1)
  for at = first, number or shown.last do
    local entry = shown[at]
    if entry then
      lists[entry.sub] = lists[entry.sub] or {}
      table.insert(lists[entry.sub], entry.event)
      shown[at] = nil
      count = count + 1
    end
  end
  if count > 0 then return lists, count end
  error(number and string.format("%s: there is no #%d that waits for an answer", command, number)
    or command .. ": nothing that was shown waits for an answer", 0)
end

local function number_of(command, word)
  if not word then return nil end
  local number = word:match("^#?(%d+)$")
  return math.tointeger(tonumber(number)) or error(string.format(
    "%s: NUMBER is one that an event was shown with, not \"%s\"", command, text.safe(word)), 0)
end

local function answer(session, command, number, say, done)
  local lists, count = shown_events(session, command, number)
  for sub, events in pairs(lists) do check(say(sub, events)) end
  if not session.quiet then
    session.out:note(string.format("%s event%s %s", text.count(count), count == 1 and "" or "s",
      done))
  end
end

function consume.ack(session, given)
  answer(session, "ack", number_of("ack", given.NUMBER), function(sub, events)
    return sub:ack(events)
  end, "acked")
end

local actions = { park = "parked", retry = "to be retried", skip = "skipped" }

function consume.nack(session, given)
  local number, action = given.NUMBER, given.HOW
  if actions[number] and not action then number, action = nil, number end
  action = action or "retry"
  if not actions[action] then
    error(string.format("nack: an event can be parked, retried or skipped: say park, retry or "
      .. "skip, not \"%s\"", text.safe(action)), 0)
  end
  answer(session, "nack", number_of("nack", number), function(sub, events)
    return sub:nack(events, action)
  end, actions[action])
end

return consume

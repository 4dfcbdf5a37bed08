-- How the shell shows what it shows: set, format, x, timing.

local format = require "repl.format"
local text = require "repl.text"

local settings = { names = { "pager", "traceback" } }

local names = settings.names

-- All of them, or one that is put on or off.
function settings.set(session, given)
  local name, value = given.NAME, given.VALUE
  if not name then
    for _, known in ipairs(names) do
      session.out:print(known .. " " .. session.settings[known])
    end
  elseif session.settings[name] == nil then
    error(string.format("set: there is no setting \"%s\"; there are %s", text.safe(name),
      table.concat(names, ", ")), 0)
  elseif value and value ~= "on" and value ~= "off" then
    error(string.format("set: %s is on or off", name), 0)
  elseif not value then
    session.out:print(name .. " " .. session.settings[name])
  else
    session.settings[name] = value
  end
end

-- A command that turns something on and off again.
function settings.switch(name, sentence)
  return function(session)
    session[name] = not session[name]
    session.out:note(string.format(sentence, session[name] and "on" or "off"))
  end
end

function settings.format(session, given)
  if not given.FORMAT then return session.out:print(session.format) end
  for _, name in ipairs(format.names) do
    if name == given.FORMAT then
      session.format = name
      return
    end
  end
  error(string.format("format: it is one of %s, not \"%s\"", table.concat(format.names, ", "),
    text.safe(given.FORMAT)), 0)
end

return settings

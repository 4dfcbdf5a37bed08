-- Lines from a terminal that cannot move its cursor: the same functions as repl/editor.c offers.

local system = require "repl.system"

local plain = {}

local prompt, typed = "", ""
local speaks = system.is_terminal(1)

local function say(s)
  if speaks then
    io.stdout:write(s)
    io.stdout:flush()
  end
end

function plain.start(text)
  prompt = text
  say(prompt)
end

function plain.read()
  local bytes = system.read()
  if not bytes or bytes == "" then
    say("\n")
    return nil
  end
  typed = typed .. bytes
  local line = typed:match("^(.*)\n$")
  if not line then return false end
  typed = ""
  return line
end

function plain.stop() end

function plain.hide()
  say("\n")
end

function plain.show()
  say(prompt)
end

function plain.drop(text)
  prompt, typed = text, ""
  say("\n" .. prompt)
end

function plain.prompt(text)
  prompt = text
end

function plain.is_empty()
  return typed == ""
end

plain.resized, plain.release, plain.regain = plain.stop, plain.stop, plain.show
plain.remember, plain.completion = plain.stop, plain.stop

return plain

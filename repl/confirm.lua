-- Questions before what cannot be undone.

local driver = require "repl.driver"
local system = require "repl.system"
local text = require "repl.text"

local confirm = {}

-- Returns when the person says yes. Where nobody can be asked --yes has to be there.
function confirm.ask(out, command, question)
  if not (system.is_terminal(0) and system.is_terminal(2)) then
    error(command .. ": there is no terminal to ask on: say --yes if you are sure", 0)
  end
  out:flush()
  io.stderr:write(text.safe(question), " [y/N] ")
  io.stderr:flush()
  local answer = driver.read_line()
  if not answer then io.stderr:write("\n") end
  answer = (answer or ""):lower():match("^%s*(.-)%s*$")
  if answer ~= "y" and answer ~= "yes" then error(command .. ": not done", 0) end
end

return confirm

-- What was raised, as an exit status and as a line. Exit statuses: 0 fine, 1 usage or Lua error,
-- 2 cannot connect or connection lost, 3 the server refused, 130 interrupted.

local pretty = require "repl.pretty"

local status = { fine = 0, usage = 1, connection = 2, refused = 3, interrupted = 130 }

local of_code = { nobody_reads = status.fine, interrupted = status.interrupted }
for code in ([[connect_failed discovery_failed closed timeout tls_error protocol_error store_failed
    not_handled not_ready too_busy not_leader slow_consumer]]):gmatch("%S+") do
  of_code[code] = status.connection
end
for code in ([[not_authenticated access_denied stream_not_found stream_deleted event_not_found
    wrong_expected_version invalid_transaction bad_request too_large subscription_exists
    subscription_not_found subscription_failed subscription_dropped
    max_subscribers not_supported]]):gmatch("%S+") do
  of_code[code] = status.refused
end

local function code_of(err)
  local ok, code = pcall(function() return err.code end)
  return ok and type(code) == "string" and code or nil
end

-- Whether an error is of that kind.
function status.is(err, code)
  return code_of(err) == code
end

-- Whatever was raised, as an exit status.
function status.of(err)
  local kind = type(err)
  if kind ~= "table" and kind ~= "userdata" then return status.usage end
  return of_code[code_of(err)] or status.usage
end

-- An error with that code; with words for people, if they are not the code.
function status.error(code, words)
  return setmetatable({ code = code }, { __tostring = function() return words or code end })
end

-- The same error with words before it.
function status.within(words, err)
  return status.error(code_of(err), words .. tostring(err))
end

-- A table that does not say how it is to be read stands there as the shell shows it.
local function text_of(err)
  local meta = getmetatable(err)
  if type(err) ~= "table" or type(meta) == "table" and meta.__tostring then return tostring(err) end
  return (pretty.value(err, math.huge):gsub("\n%s*", " "))
end

-- Whatever was raised, as one line for people: without the place in the shell's own files, which
-- is not where their mistake is.
function status.line(err)
  local line = text_of(err):match("^[^\n]*")
  return (line:gsub("^repl/[%w_]+%.lua:%d+: ", ""))
end

return status

-- What pumpsh says of itself: --help, \?, and one command.

local args = require "repl.args"
local text = require "repl.text"

local help = {}

local page = 80

-- Words in lines of so many columns, the lines after the first behind a margin.
local function wrap(words, margin)
  local lines, used = {}, page
  for word in words:gmatch("%S+") do
    if used + 1 + text.width(word) > page - margin then
      lines[#lines + 1], used = word, text.width(word)
    else
      lines[#lines] = lines[#lines] .. " " .. word
      used = used + 1 + text.width(word)
    end
  end
  return table.concat(lines, "\n" .. string.rep(" ", margin))
end

-- Names and what they mean, beside each other; a long name has a line of its own.
local function columns(rows)
  local widest = 0
  for _, row in ipairs(rows) do
    local width = text.width(row[1])
    if width <= 30 then widest = math.max(widest, width) end
  end
  local lines = {}
  for i, row in ipairs(rows) do
    local name, margin = row[1], widest + 4
    if text.width(name) > widest then name = name .. "\n" .. string.rep(" ", margin)
    else name = text.pad(name, widest + 2) end
    lines[i] = "  " .. name .. wrap(row[2], margin) .. "\n"
  end
  return table.concat(lines)
end

local function brief(command)
  return table.concat({ command.name, table.unpack(command.arguments or {}) }, " ")
end

local function option_rows(options)
  local rows = {}
  for i, option in ipairs(options) do
    rows[i] = {
      (option.short and "-" .. option.short .. ", " or "    ") .. "--" .. option[1]
        .. (option[2] and " " .. option[2] or ""),
      option.help,
    }
  end
  return rows
end

-- One command, with its options.
function help.command(command, prefix)
  return string.format("%s%s\n  %s\n%s", prefix, args.usage(command), command.help,
    columns(option_rows(command.options or {})))
end

-- The answer to \?.
function help.shell(list)
  local rows = {}
  for _, command in ipairs(list) do
    if command.only ~= "cli" then rows[#rows + 1] = { "\\" .. brief(command), command.help } end
  end
  return [[
A line is Lua, with conn and pump there (_ is the last result), or a command:
]] .. columns(rows) .. [[
\? COMMAND tells its options. Ctrl-C stops what runs, Ctrl-D leaves.
]]
end

-- The answer to --help.
function help.program(list, options)
  local rows = {}
  for _, command in ipairs(list) do
    if command.only ~= "shell" then rows[#rows + 1] = { brief(command), command.help } end
  end
  return [[
pumpsh, a shell for EventStore

  pumpsh [options]                       the interactive shell
  pumpsh [options] COMMAND [arguments]   one command
  pumpsh [options] FILE.lua [arguments]  a Lua script, with conn, pump and arg

Commands (pumpsh COMMAND --help tells its options):
]] .. columns(rows) .. "\nOptions:\n" .. columns(option_rows(options)) .. [[

Without a terminal on standard output results are lines of JSON. Lines that are
piped in are run as the shell runs them. Exit status: 0 fine, 1 usage or Lua
error, 2 cannot connect or connection lost, 3 the server refused, 130 interrupted.
]]
end

return help

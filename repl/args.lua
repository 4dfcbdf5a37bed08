-- Arguments of commands, from a command line or from a line of the shell, by what a command says
-- that it takes:
--
--   { name = "publish", arguments = { "STREAM", "TYPE", "[BODY]" },
--     options = { { "count", "N", integer = 1 }, { "yes" }, { "url", "URL", short = "u" } },
--     rest = true }   -- in the shell, the last argument takes the rest of the line

local text = require "repl.text"

local args = {}

-- Words of a list (what the operating system hands over).
function args.from_list(list, first)
  local at = first or 1
  return {
    next = function()
      at = at + 1
      return list[at - 1]
    end,
    -- What was not asked for yet.
    remaining = function() return table.move(list, at, #list, 1, {}) end,
  }
end

-- Words of a line: parted by blanks, '…' and "…" keep blanks together.
function args.from_line(line)
  local at = 1
  local function word()
    at = line:find("%S", at) or #line + 1
    if at > #line then return nil end
    local pieces = {}
    while at <= #line and not line:find("^%s", at) do
      local quote = line:match("^['\"]", at)
      local stop = quote and line:find(quote, at + 1, true)
      if stop then
        pieces[#pieces + 1] = line:sub(at + 1, stop - 1)
        at = stop + 1
      else
        local plain = line:match("^.[^%s'\"]*", at)
        pieces[#pieces + 1] = plain
        at = at + #plain
      end
    end
    return table.concat(pieces)
  end
  return {
    next = word,
    -- Everything behind the last word, without the blanks around it; nil when there is nothing.
    rest = function()
      local rest = line:sub(at):match("^%s*(.-)%s*$")
      at = #line + 1
      return rest ~= "" and rest or nil
    end,
    peek = function() return line:match("^%s*(%S+)", at) end,
  }
end

-- "read STREAM [--from N] [--backward]"
function args.usage(spec)
  local pieces = { spec.name }
  for _, argument in ipairs(spec.arguments or {}) do pieces[#pieces + 1] = argument end
  for _, option in ipairs(spec.options or {}) do
    pieces[#pieces + 1] = string.format("[--%s%s]", option[1], option[2] and " " .. option[2] or "")
  end
  return table.concat(pieces, " ")
end

local most_options = 5

-- The same as a remark: where the options are many, only that there are some.
function args.brief_usage(spec)
  if #(spec.options or {}) <= most_options then return args.usage(spec) end
  return args.usage { name = spec.name, arguments = spec.arguments } .. " [options]"
end

local function find_option(spec, word)
  local names = {}
  for _, option in ipairs(spec.options or {}) do
    if word == "--" .. option[1] or (option.short and word == "-" .. option.short) then
      return option
    end
    if option[1]:sub(1, 1) == word:sub(3, 3) then names[#names + 1] = "--" .. option[1] end
  end
  local near = text.near(word, names)
  return nil, string.format("there is no option %s%s", text.safe(word),
    near and "; did you mean " .. near .. "?"
      or word:find("^%-[^%-]") and "; -- stands before arguments that begin with -" or "")
end

local most = (1 << 31) - 1 -- of a number whose option does not say so: what servers keep

local function check(option, value)
  if option.integer then
    local number = math.tointeger(tonumber(value))
    if not number or not value:find("^%-?%d+$") then
      return nil, string.format("--%s wants a whole number, not \"%s\"", option[1],
        text.safe(value))
    elseif number < option.integer then
      return nil, string.format("--%s must be %d or more", option[1], option.integer)
    elseif number > (option.most or most) then
      return nil, string.format("--%s must be %d or less", option[1], option.most or most)
    end
    return number
  elseif option.number then
    local number = tonumber(value)
    if not number or number <= 0 or number ~= number or number == math.huge then
      return nil, string.format("--%s wants a number of seconds above 0, not \"%s\"", option[1],
        text.safe(value))
    end
    return number
  elseif option.one_of then
    for _, choice in ipairs(option.one_of) do
      if value == choice then return value end
    end
    return nil, string.format("--%s is one of %s, not \"%s\"", option[1],
      table.concat(option.one_of, ", "), text.safe(value))
  end
  return value
end

-- --name=value and -nvalue as their two halves.
local function halves(spec, word)
  local name, value = word:match("^(%-%-[^=]+)=(.*)$")
  if name then return name, value end
  name, value = word:match("^(%-%a)(.+)$")
  local option = name and find_option(spec, name)
  if option and option[2] then return name, value end
end

local function take_option(spec, word, source, given)
  local name, value = halves(spec, word)
  local option, err = find_option(spec, name or word)
  if not option then return nil, err end
  if not option[2] then
    if value then return nil, string.format("--%s takes no value", option[1]) end
    given[option[1]] = true
    return true
  end
  value = value or source.next()
  if not value then return nil, string.format("--%s wants %s after it", option[1], option[2]) end
  value, err = check(option, value)
  if value == nil then return nil, err end
  if option.many then
    given[option[1]] = given[option[1]] or {}
    table.insert(given[option[1]], value)
  else
    given[option[1]] = value
  end
  return true
end

local function is_option(word)
  return word:find("^%-[^%d]") ~= nil and word ~= "-"
end

-- What was given, as { STREAM = …, count = 3, … }, or nil and what is wrong. With leading, the
-- first word that is no option ends it and stays in given.word.
function args.parse(spec, source, leading)
  local given, wanted, filled = {}, spec.arguments or {}, 0
  local only_arguments = false
  while true do
    local last = spec.rest and source.rest and filled == #wanted - 1
    local upcoming = last and source.peek()
    local whole = upcoming and (only_arguments or not is_option(upcoming))
    local word
    if whole then word = source.rest() else word = source.next() end
    if not word then break end
    if whole or only_arguments or not is_option(word) then
      if leading then
        given.word = word
        return given
      end
      filled = filled + 1
      if filled > #wanted then
        return nil, string.format("\"%s\" is one argument too many", text.safe(word))
      end
      if word == "" and not wanted[filled]:find("^%[") then
        return nil, wanted[filled] .. " is empty"
      end
      given[wanted[filled]:match("%w+")] = word
    elseif word == "--" then
      only_arguments = true
    else
      local ok, err = take_option(spec, word, source, given)
      if not ok then return nil, err end
    end
  end
  for at = filled + 1, given.help and filled or #wanted do
    if not wanted[at]:find("^%[") then return nil, wanted[at] .. " is missing" end
  end
  return given
end

return args

-- bench/run in Lua: measures the figures in turn with their floors and says what came of it.
local figures = require "figures"
local process = require "process"

local function usage(message)
  io.stderr:write("bench/run: ", message, "\n",
    "usage: bench/run [--quick] [--json FILE] [NAME…]\n")
  os.exit(2)
end

local function arguments(list)
  local given = { names = {} }
  local at = 1
  while list[at] do
    local word = list[at]
    if word == "--quick" then
      given.quick = true
    elseif word == "--json" then
      at = at + 1
      given.json = list[at] or usage "--json takes a file"
    elseif word:find "^%-" then
      usage("there is no " .. word)
    else
      given.names[#given.names + 1] = word
    end
    at = at + 1
  end
  return given
end

-- "read" selects read.c and read.lua, "read.c" itself.
local function selected(names)
  if #names == 0 then return figures.list end
  local found = {}
  for _, figure in ipairs(figures.list) do
    for _, name in ipairs(names) do
      if figure.name == name or figure.name:sub(1, #name + 1) == name .. "." then
        found[#found + 1] = figure
        break
      end
    end
  end
  if #found == 0 then usage("there is no figure called " .. names[1]) end
  return found
end

local function median(list)
  table.sort(list)
  local middle = #list // 2
  return #list % 2 == 1 and list[middle + 1] or (list[middle] + list[middle + 1]) / 2
end

-- The medians of what several rounds said.
local function medians(rounds)
  local result = {}
  for name in pairs(rounds[1]) do
    local values = {}
    for _, round in ipairs(rounds) do values[#values + 1] = round[name] end
    result[name] = median(values)
  end
  return result
end

-- Subject and floor in turn, so that both see the same machine.
local function measure(figure, context)
  local subjects, floors = {}, {}
  for round = 1, figure.rounds or context.rounds do
    subjects[round] = figure.subject(context)
    floors[round] = figure.floor and figure.floor(context)
  end
  return medians(subjects), figure.floor and medians(floors)
end

local machine = process.output "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"
  .. " × " .. process.output "nproc"
local commit = process.output "git rev-parse --short HEAD 2>/dev/null"

local function judge(figure, subject, floor)
  local row = { name = figure.name, unit = figure.unit, bar = figure.bar or "",
    machine = machine, commit = commit, rss_kib = subject.rss }
  row.value = figure.value(subject, floor or {})
  row.floor = floor and figure.base and figure.base(floor) or nil
  row.ratio = row.floor and row.value / row.floor
  row.cpu_us_per_event, row.wall_us_per_event = subject.cpu_us, subject.wall_us
  if floor then
    row.floor_cpu_us_per_event, row.floor_wall_us_per_event = floor.cpu_us, floor.wall_us
    row.cpu_ratio = subject.cpu_us and floor.cpu_us and subject.cpu_us / floor.cpu_us
  end
  if figure.holds then row.holds = figure.holds(row, subject, floor) end
  return row
end

local function number(value)
  if not value then return "" end
  if value ~= value then return "?" end
  return (value >= 100 and "%.0f" or value >= 10 and "%.1f" or "%.3f"):format(value)
end

local function show(row)
  local verdict = row.holds == nil and "" or row.holds and "holds" or "MISSED"
  print(("%-20s %9s %-9s %9s %8s  %-24s %s"):format(row.name, number(row.value), row.unit,
    number(row.floor), number(row.ratio), row.bar, verdict))
end

-- One object a line, its fields in a fixed order.
local function write_json(file, row)
  local order = { "name", "value", "unit", "floor", "ratio", "cpu_us_per_event",
    "floor_cpu_us_per_event", "cpu_ratio", "wall_us_per_event", "floor_wall_us_per_event",
    "rss_kib", "bar", "holds", "machine", "commit" }
  local parts = {}
  for _, name in ipairs(order) do
    local value = row[name]
    if value ~= nil then
      local text = type(value) == "number" and ("%.6g"):format(value)
        or type(value) == "string" and ('"%s"'):format(value:gsub('[%c"\\]', "?"))
        or tostring(value)
      parts[#parts + 1] = ('"%s": %s'):format(name, text)
    end
  end
  file:write("{", table.concat(parts, ", "), "}\n")
end

local given = arguments(arg)
local wanted = selected(given.names)
local file = given.json and assert(io.open(given.json, "w"))
local context = figures.start(given.quick)
local missed = 0
print(("%s, commit %s, %d rounds in turn, medians"):format(machine, commit, context.rounds))
print(("%-20s %9s %-9s %9s %8s  %-24s %s"):format("figure", "value", "unit", "floor", "ratio",
  "must reach", ""))
for _, figure in ipairs(wanted) do
  local ok, row = pcall(function() return judge(figure, measure(figure, context)) end)
  if ok then
    show(row)
    if file then write_json(file, row) end
    if row.holds == false then missed = missed + 1 end
  else
    print(("%-20s failed: %s"):format(figure.name, row))
    missed = missed + 1
  end
end
figures.stop(context)
if file then file:close() end
print(missed == 0 and "every bar is reached" or ("%d not reached"):format(missed))

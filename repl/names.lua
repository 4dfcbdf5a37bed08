-- Names that the tab key offers: streams, event types and groups, of what was shown and of what a
-- task in the background has found. A key never waits for it.

local pump = require "pump"
local system = require "repl.system"

local names = {}

local most = 10000 -- of each kind
local pages = 100  -- events that are looked at for a refresh: they may be large
local fresh = 5    -- seconds in which what was found is good enough

local function nothing()
  return { streams = { ["$all"] = true }, types = {}, groups = {} }
end

local known = nothing()
local count = { streams = 0, types = 0, groups = 0 }

-- What does not stand in a line as it is would have to be quoted there.
local function add(kind, name)
  if known[kind][name] or count[kind] >= most then return end
  if name == "" or name:find("[%s%c'\"\\]") or not utf8.len(name) then return end
  known[kind][name] = true
  count[kind] = count[kind] + 1
end

function names.see_stream(name)
  add("streams", name)
end

function names.see_group(name)
  add("groups", name)
end

function names.see(event)
  add("streams", event.stream or "")
  add("types", event.type or "")
end

-- Sets of names. What they hold may grow later.
function names.streams()
  return known.streams
end

function names.types()
  return known.types
end

function names.groups()
  return known.groups
end

-- Where a server keeps no $streams, or does not let us read it, what was written last has to do.
local function look(session)
  local conn = session:connection()
  local backward = { direction = "backward", max_count = pages, resolve_links = false }
  for _, link in ipairs(conn:get("$streams", backward) or {}) do
    add("streams", (link.data or ""):match("^%d+@(.+)$") or "")
  end
  for _, event in ipairs(conn:get_all(backward) or {}) do names.see(event) end
end

local refreshed, task = -math.huge, nil

-- Has a task look, unless one has just done so.
function names.refresh(session)
  local now = system.clock()
  if task or now - refreshed < fresh then return end
  refreshed = now
  task = pump.spawn(function()
    pcall(look, session) -- whoever asks for something next is told why that does not work
    task = nil
  end)
  task.name = "names for the tab key"
end

-- Another place has other names.
function names.forget()
  known = nothing()
  count = { streams = 0, types = 0, groups = 0 }
  refreshed = -math.huge
  if task then task:cancel() end
  task = nil
end

return names

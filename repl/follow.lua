-- What goes on with what is written later: tail and read --follow. On the command line that is all
-- there is to do; in the shell each tail is a task of its own, above the line being typed.
--
-- They are catch-up subscriptions: one that is read slower than events come is slowed down, and
-- nothing is left out.

local status = require "repl.status"
local system = require "repl.system"
local text = require "repl.text"
local pump = require "pump"

local follow = {}

-- The subscription, and the event that stands right where it is to begin: a stream begins with
-- the event it is told, $all behind a position.
local function subscribe(conn, stream, from)
  local given, first
  if stream ~= "$all" then
    given = { from_event = from or "end" }
  elseif not from then
    given = { from_position = "end" }
  elseif from == 0 then
    given = { from_position = "start" }
  else
    given = { from_position = { commit = from, prepare = from }, max_count = 1 }
    local slice, problem = conn:get_all(given)
    if not slice then error(problem, 0) end
    given.max_count = nil
    if slice[1] and slice[1].position.commit == from then first = slice[1] end
  end
  local sub, err = conn:subscribe_to(stream, given)
  if not sub then error(err, 0) end
  return sub, first
end

-- Hands over events until the subscription is lost, which is raised, or there were as many as are
-- wanted. pause() is called when all that has come is shown, and now and then in between.
local function pump_events(sub, first, writer, pause, wanted)
  if first then writer:add(first) end
  local count = first and 1 or 0
  while count ~= wanted do
    count = count + 1
    local event, err = sub:next(0)
    if not event and err.code == "timeout" then
      writer:settle()
      pause(true)
      event, err = sub:next()
    end
    if not event then error(err, 0) end
    writer:add(event)
    pause()
  end
end

-- Shows a subscription's events until this is cancelled, nobody reads, or there were enough. A lost
-- connection comes back by itself; that nothing comes meanwhile has to be said.
local function foreground(session, sub, writer, first, wanted)
  local closing <close> = sub
  session.out.needs_reader = true
  if not session.quiet and not session.out.interactive then
    session:connection().on_disconnected:append(function(why)
      session.out:error(string.format("connection lost: %s; connecting again", status.line(why)))
    end)
  end
  pump_events(sub, first, writer, function() end, wanted)
  return closing
end

-- A task of the shell that shows a subscription's events, under a name of its own.
local function background(session, name, sub, writer, first)
  local tail = { sub = sub }
  session.tails[name] = tail
  tail.task = pump.spawn(function()
    local closing <close> = sub
    local out = session.out
    local ok, err = pcall(pump_events, sub, first, writer, function(is_drained)
      out:pause(is_drained)
    end)
    if session.tails[name] == tail then session.tails[name] = nil end
    if not ok and not tail.ended then
      out:error(string.format("%s: %s", text.safe(name), status.line(err)))
    end
    return closing
  end)
  tail.task.name = name
  tail.task.gives_way = true -- Ctrl-C need not find it computing: see repl/driver.lua
end

-- Shows what a subscription brings: in the shell beside what the person does, elsewhere instead of
-- anything else. start() gives it, a writer, and perhaps an event that stands before it.
function follow.show(session, name, start)
  if not session.out.interactive then
    return foreground(session, start())
  elseif session.tails[name] then
    error(string.format("%s is followed already; \\untail %s ends it", name, name), 0)
  end
  background(session, name, start())
  if not session.quiet then
    session.out:note(string.format("following %s; \\untail ends it", name))
  end
end

-- Ends the tail of a stream, or all of them. Returns how many there were.
function follow.stop(session, stream)
  local count = 0
  for name, tail in pairs(session.tails) do
    if not stream or name == stream then
      tail.ended = true
      tail.task:cancel()
      session.tails[name] = nil
      count = count + 1
    end
  end
  return count
end

---- Commands ------------------------------------------------------------------------------------

function follow.tail(session, given)
  follow.show(session, given.STREAM, function()
    local sub, first = subscribe(session:connection(), given.STREAM, given.from)
    return sub, session:events { live = true }, first
  end)
end

-- read --follow
function follow.read(session, given)
  local sub, first = subscribe(session:connection(), given.STREAM, given.from or 0)
  foreground(session, sub, session:events { live = true }, first, given.count)
end

function follow.untail(session, given)
  if follow.stop(session, given.STREAM) == 0 then
    error(given.STREAM and string.format("untail: %s is not followed; \\tails lists what is",
      given.STREAM) or "untail: nothing is followed", 0)
  end
end

function follow.tails(session)
  local names = {}
  for name in pairs(session.tails) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local sub = session.tails[name].sub
    local position = sub.position
    if type(position) == "table" then position = position.commit end
    session:record({ { "stream", name }, { "state", sub.state }, { "position", position } },
      string.format("%s  %s%s", name, sub.state, position and " at " .. position or ""))
  end
end

-- The line before, or the one that is given, again and again. An error ends it.
function follow.watch(session, given, shell)
  local seconds = tonumber(given.SECONDS)
  if not seconds or not (seconds >= 0.1 and seconds < math.huge) then
    error(string.format("watch: SECONDS is a number from 0.1 on, not \"%s\"",
      text.safe(given.SECONDS)), 0)
  end
  local fn = shell.last_fn
  if given.LINE then fn = shell:understand(given.LINE) end
  if shell.chunk then
    shell.chunk = nil
    error("watch: the line is not finished: " .. given.LINE, 0)
  elseif not fn then
    if given.LINE then return end
    error("watch: there is no line before this one to repeat", 0)
  end
  session.watching = true -- what is shown again and again needs no pager
  local _ <close> = setmetatable({}, { __close = function() session.watching = nil end })
  while true do
    if not session.quiet then
      session.out:note(string.format("%s, every %g s", os.date("%H:%M:%S"), seconds), "dim")
    end
    local started = system.clock()
    fn()
    session:tell_time(system.clock() - started)
    session.out:flush()
    pump.sleep(seconds)
  end
end

return follow

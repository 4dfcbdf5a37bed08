-- The one table of commands. The shell's \name, the command line's `pumpsh name`, \?, --help and
-- completion all come from it. run(session, given, shell) does the work and raises what fails;
-- shell is nil on the command line. only = "shell" or "cli" says where a command makes sense,
-- paged that it may say more than fits on the screen.

local consume = require "repl.consume"
local driver = require "repl.driver"
local follow = require "repl.follow"
local groups = require "repl.groups"
local programs = require "repl.programs"
local progress = require "repl.progress"
local serve = require "repl.serve"
local settings = require "repl.settings"
local streams = require "repl.streams"
local system = require "repl.system"
local text = require "repl.text"
local transfer = require "repl.transfer"
local pump = require "pump"

local commands = {}

-- What a call of the module returned, or its error raised.
local function check(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- Where a read starts, as the module wants it: $all has positions, other streams numbers.
local function start_of(stream, from)
  if stream ~= "$all" then return { from_event = from } end
  return { from_position = from and { commit = from, prepare = from } }
end

local function read(session, given)
  if given.follow and given.backward then
    error("read: --follow goes forward and on, without --backward", 0)
  end
  if given.follow then return follow.read(session, given) end
  local conn, stream = session:connection(), given.STREAM
  local is_all = stream == "$all"
  local writer = session:events { with_stream = is_all }
  local options = start_of(stream, given.from)
  options.direction = given.backward and "backward" or "forward"
  options.max_count = given.count
  options.batch_size = given.count and math.min(given.count, 500) or nil
  local events
  if is_all then events = conn:iter_all(options) else events = conn:iter(stream, options) end
  local done <close> = progress.new(session.out, "read", true)
  for event in events do
    writer:add(event)
    done:step()
  end
  writer:finish()
end

local function show_event(session, given)
  if given.STREAM == "$all" then
    error("event: $all has positions, no numbers: read $all --from POSITION --count 1", 0)
  end
  local number = given.NUMBER
  if number ~= "last" then
    number = number:find("^%d+$") and math.tointeger(tonumber(number))
    if not number then
      error(string.format("event: NUMBER is a whole number from 0 on, or last, not \"%s\"",
        text.safe(given.NUMBER)), 0)
    end
  end
  local event = check(session:connection():get_event(given.STREAM, number))
  local writer = session:events { expanded = true }
  writer:add(event)
  writer:finish()
end

local function publish(session, given)
  local body = given.BODY
  if body == "-" then
    body = driver.read_all():gsub("\n$", "")
  elseif body then
    body = body:match("^'(.*)'$") or body
  end
  if body then
    local value, problem = pump.json.decode(body)
    if value == nil then error("publish: BODY is not JSON: " .. tostring(problem), 0) end
  end
  local result = check(session:connection():publish_event(given.STREAM, given.TYPE, body,
    { content_type = body and "json" or nil }))
  local position = result.position
  session:record({
    { "stream", given.STREAM },
    { "first_event_number", result.first_event_number },
    { "last_event_number", result.last_event_number },
    { "position", position and { commit = position.commit, prepare = position.prepare } },
  }, string.format("%s@%d %s", given.STREAM, result.last_event_number, given.TYPE))
end

local function import(session, given)
  if system.is_terminal(0) then
    error("import: it reads lines of JSON from standard input: pumpsh import STREAM < FILE", 0)
  end
  local count = transfer.import(session:connection(), session.out, given.STREAM)
  session:record({ { "stream", given.STREAM }, { "imported", count } },
    string.format("%s: %s events imported", given.STREAM, text.count(count)))
end

local function ping(session, given)
  local conn = session:connection()
  for i = 1, given.count or 1 do
    if i > 1 then pump.sleep(1) end
    local seconds = check(conn:ping())
    session:record({ { "seconds", seconds } },
      string.format("%s answered in %s", session:place(), text.duration(seconds)))
    session.out:flush()
  end
end

local function conninfo(session)
  local conn = session:connection()
  local members = { { "url", session.public_url(session.url) } }
  for _, name in ipairs { "endpoint", "state", "protocol", "server_version", "name" } do
    local value = conn[name]
    if value ~= nil and type(value) ~= "function" then
      members[#members + 1] = { name, value }
    end
  end
  if session.username then members[#members + 1] = { "username", session.username } end
  local stats = conn:stats()
  for _, name in ipairs { "requests", "failures", "retries", "in_flight", "waiting", "reconnects",
    "bytes_in", "bytes_out" } do
    members[#members + 1] = { name, stats[name] }
  end
  for _, name in ipairs { "p50", "p99" } do
    local seconds = stats.latency[name]
    members[#members + 1] = { "latency_" .. name,
      session.format == "table" and text.duration(seconds) or seconds }
  end
  session:record(members)
end

local function members(session)
  local rows = session:rows()
  local names = session.format == "table"
    and { "state", "is_alive", "host", "port", "http_host", "http_port", "version" }
    or { "state", "is_alive", "host", "port", "secure_port", "http_host", "http_port", "version",
      "epoch_number", "last_commit_position", "is_read_only_replica", "instance_id" }
  for _, member in ipairs(check(session:connection():members())) do
    local row = {}
    for i, name in ipairs(names) do row[i] = { name, member[name] } end
    rows:add(row)
  end
  rows:finish()
end

local function include(_, given, shell)
  local file, message = io.open(given.FILE, "r")
  if not file then error("i: " .. message, 0) end
  local source = file:read("a")
  file:close()
  if not source then error("i: " .. given.FILE .. " cannot be read", 0) end
  shell:feed_first(source)
end

local function redirect(session, given)
  local ok, message = session.out:redirect(given.FILE)
  if not ok then error("o: " .. message, 0) end
end

local function count(what)
  return { "count", "N", integer = 1, help = what }
end

local expected = { "expected", "VERSION", help = "only at this version: an event number, any, "
  .. "no_stream or stream_exists" }

commands.list = {
  { name = "read", arguments = { "STREAM" }, help = "the events of a stream, or of $all",
    options = {
      { "from", "N", integer = 0, most = math.maxinteger,
        help = "the first event number (in $all: position)" },
      count "at most so many",
      { "backward", help = "newest first" },
      { "follow", help = "go on with what is written later" },
    }, run = read, paged = true },
  { name = "event", arguments = { "STREAM", "NUMBER" }, help = "one event, whole; or the last",
    run = show_event, paged = true },
  { name = "publish", arguments = { "STREAM", "TYPE", "[BODY]" }, rest = true, run = publish,
    help = "write one event; BODY is JSON, or - for standard input" },
  { name = "import", arguments = { "STREAM" }, run = import,
    help = "write events from lines of JSON: type, data, metadata, id" },
  { name = "export", arguments = { "STREAM" }, help = "a stream as import takes it", paged = true,
    run = function(session, given)
      transfer.export(session:connection(), session.out, given.STREAM)
    end },
  { name = "tail", arguments = { "STREAM" }, run = follow.tail,
    help = "follow a stream, or $all; in the shell above the line you type",
    options = { { "from", "N", integer = 0, most = math.maxinteger,
      help = "what is there from N on, too" } } },
  { name = "untail", arguments = { "[STREAM]" }, only = "shell", run = follow.untail,
    help = "follow a stream no more, or none" },
  { name = "tails", only = "shell", run = follow.tails, help = "what is followed" },
  { name = "streams", arguments = { "[PATTERN]" }, run = streams.list, paged = true,
    help = "the streams there are; PATTERN as in a shell: order-*" },
  { name = "meta", arguments = { "STREAM", "[JSON]" }, rest = true, run = streams.meta,
    help = "a stream's metadata; with JSON it is replaced", options = { expected }, paged = true },
  { name = "delete", arguments = { "STREAM" }, run = streams.delete,
    help = "delete a stream; who writes to it again goes on with its numbers",
    options = {
      { "hard", help = "for ever, and nobody can use the name again" },
      { "yes", help = "without asking" },
      expected,
    } },
  { name = "groups", arguments = { "[STREAM]" }, run = groups.list, paged = true,
    help = "persistent subscriptions: how far each has come, what it has parked" },
  { name = "group", arguments = { "ACTION", "STREAM", "GROUP" }, run = groups.run,
    help = "create, update, delete or info: one persistent subscription",
    options = groups.options },
  { name = "consume", arguments = { "STREAM", "GROUP" }, run = consume.run,
    help = "events of a group; in the shell ack and nack answer them",
    options = { { "auto-ack", help = "ack each one that was shown" } } },
  { name = "ack", arguments = { "[NUMBER]" }, only = "shell", run = consume.ack,
    help = "what consume showed under that number, or all, is done with" },
  { name = "nack", arguments = { "[NUMBER]", "[HOW]" }, only = "shell", run = consume.nack,
    help = "it is not: park, retry (as it does by itself) or skip it" },
  { name = "ping", options = { count "so often, once a second" }, run = ping,
    help = "how long a round trip takes" },
  { name = "conninfo", help = "where we are connected", run = conninfo },
  { name = "members", help = "the cluster, as gossip shows it", run = members,
    paged = true },
  { name = "serve", arguments = { "[STORE]" }, only = "cli", run = serve,
    help = "be a server: STORE is memory: or file:PATH",
    options = {
      { "listen", "HOST:PORT", help = "where; 127.0.0.1:1113" },
      { "http", "HOST:PORT", help = "where for HTTP: /gossip, /info and /ping" },
      { "faults", help = "let an admin make it misbehave, by POST /faults" },
      { "tls-cert", "FILE", help = "speak TLS, with this certificate (PEM) and its key" },
      { "tls-key", "FILE", help = "the key of the certificate" },
      { "insecure-listen", help = "also where other machines can reach it" },
      { "like", "VERSION", one_of = { "4.1", "5.0", "23.10" },
        help = "answer as this EventStore does" },
    } },
  { name = "connect", arguments = { "URL" }, only = "shell", help = "go elsewhere",
    run = function(session, given)
      session:connect(given.URL)
    end },
  { name = "format", arguments = { "[FORMAT]" }, only = "shell", run = settings.format,
    help = "show results as table, json, jsonl or raw" },
  { name = "x", only = "shell", help = "events as blocks, or as a table again",
    run = settings.switch("expanded", "blocks are %s") },
  { name = "timing", only = "shell", help = "tell how long each line took, or no more",
    run = settings.switch("timing", "timing is %s") },
  { name = "watch", arguments = { "SECONDS", "[LINE]" }, rest = true, only = "shell",
    run = follow.watch, help = "run the line before, or this one, again and again" },
  { name = "set", arguments = { "[NAME]", "[VALUE]" }, only = "shell", run = settings.set,
    help = "settings: pager, traceback; each on or off" },
  { name = "i", arguments = { "FILE" }, rest = true, only = "shell", run = include,
    help = "run the lines of a file" },
  { name = "o", arguments = { "[FILE]" }, rest = true, only = "shell", run = redirect,
    help = "write results to a file, or to the terminal again" },
  { name = "e", arguments = { "[FILE]" }, rest = true, only = "shell", run = programs.edit,
    help = "edit the last lines of Lua, or a file, and run it" },
  { name = "!", arguments = { "[LINE]" }, rest = true, only = "shell", run = programs.shell,
    help = "run a command of the system's shell" },
  { name = "q", only = "shell", help = "leave (Ctrl-D does too)",
    run = function(_, _, shell) shell:leave() end },
  { name = "?", arguments = { "[COMMAND]" }, only = "shell", help = "this list, or one command",
    paged = true,
    run = function(session, given)
      local help = require "repl.help"
      local command = given.COMMAND and check(commands.find(given.COMMAND:gsub("^\\", ""), "shell"))
      session.out:write(command and help.command(command, "\\") or help.shell(commands.list))
    end },
}

-- Their names, where ("shell" or "cli") they make sense.
function commands.names(where)
  local names = {}
  for _, command in ipairs(commands.list) do
    if not command.only or command.only == where then names[#names + 1] = command.name end
  end
  return names
end

-- Does what a command does. What is taller than the screen goes through the pager.
function commands.run(command, session, given, shell)
  local is_paged = command.paged and not given.follow and session:pages()
  programs.paged(session.out, is_paged, function() command.run(session, given, shell) end)
end

local elsewhere = {
  shell = "%s is a command of its own: pumpsh %s",
  cli = "%s works in the shell only: pumpsh, then \\%s",
}

-- The command of that name; or nil and what to say, with the nearest name.
function commands.find(name, where)
  for _, command in ipairs(commands.list) do
    local is_here = not command.only or command.only == where
    if command.name == name and is_here then return command end
    if command.name == name then return nil, string.format(elsewhere[where], name, name) end
  end
  local near = text.near(name, commands.names(where))
  local prefix = where == "shell" and "\\" or ""
  return nil, string.format("there is no command %s%s%s", prefix, text.safe(name),
    near and string.format("; did you mean %s%s?", prefix, near)
    or where == "shell" and "; \\? lists them" or "; pumpsh --help lists them")
end

return commands

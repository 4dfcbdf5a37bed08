-- pumpsh from its arguments to its exit status.

require "repl.coroutines"
local system = require "repl.system"
local pump = require "pump"
local task = require "pump.task"
local args = require "repl.args"
local commands = require "repl.commands"
local driver = require "repl.driver"
local options = require "repl.options"
local output = require "repl.output"
local session_of = require "repl.session"
local shell_of = require "repl.shell"
local status = require "repl.status"

-- Raises a usage error: one line for standard error.
local function refuse(message, ...)
  error(string.format(message, ...), 0)
end

-- Asks for the password, or takes it from the environment where somebody is named who has none.
local function password(given, is_named)
  if given["ask-password"] then
    local typed = system.password("Password: ")
    if typed == nil then refuse("-W wants a terminal to ask on") end
    if not typed then error(status.error("interrupted"), 0) end
    return typed
  end
  local secret = os.getenv("PUMP_PASSWORD")
  if secret == "" then secret = nil end
  if given.user and not secret then
    refuse("--user wants a password: set PUMP_PASSWORD, or -W asks for it")
  end
  return is_named and secret or nil
end

local function open_session(out, given)
  local url = given.url or os.getenv("PUMP_URL")
  if url == "" then url = nil end
  local name, own = session_of.user_of(url)
  local secret = password(given, given.user or name and (own or "") == "")
  if given["no-color"] then out:set_colour(false) end
  return session_of.new {
    url = url or "memory:", is_default = url == nil,
    username = given.user or secret and (name or "admin"), password = secret,
    timeout = given.timeout, out = out, quiet = given.quiet,
    format = given.format or (out.terminal and "table" or "jsonl"),
  }
end

-- Everything that Lua code may expect: conn (made when it is first used), pump, and output that
-- knows the prompt.
local function set_globals(session)
  local out = session.out
  rawset(_G, "pump", pump)
  setmetatable(_G, { __index = function(_, name)
    if name == "conn" then return session:connection() end
  end })
  rawset(_G, "print", function(...)
    local pieces = table.pack(...)
    for i = 1, pieces.n do pieces[i] = tostring(pieces[i]) end
    out:print(table.concat(pieces, "\t"))
  end)
  local write = io.write
  rawset(io, "write", function(...)
    if io.output() ~= io.stdout then return write(...) end
    for i = 1, select("#", ...) do
      local piece = select(i, ...)
      if type(piece) ~= "string" and type(piece) ~= "number" then return write(piece) end
      out:write(tostring(piece))
    end
    return io.stdout
  end)
  task.on_error = function(failed, err)
    session.task_failed = true
    out:error(string.format("%s: %s", failed.name, status.line(err)))
  end
end

-- Runs fn as a task; its end as an exit status, its error as one line.
local function run(out, fn, ends_well)
  local job, signal = driver.run(out, fn)
  if signal == "interrupt" then return ends_well and status.fine or status.interrupted end
  if signal == "terminate" then return ends_well and status.fine or 128 + 15 end
  if not job.failed then return status.fine end
  local code = status.of(job.err)
  if job.err ~= output.nobody_reads then out:error(status.line(job.err)) end
  return code
end

local function run_command(session, command, given)
  return run(session.out, function() commands.run(command, session, given) end,
    command.name == "serve")
end

local function run_script(session, path, source, argv)
  local chunk, err = loadfile(path)
  if not chunk then refuse("%s", (err:gsub("^cannot open ", "cannot open script "))) end
  local script = table.pack(table.unpack(source.remaining()))
  script.n = nil
  script[0], script[-1] = path, argv[0]
  rawset(_G, "arg", script)
  return run(session.out, function() chunk(table.unpack(script)) end)
end

local function run_chunks(session, chunks)
  for i, source in ipairs(chunks) do
    local chunk, err = load(source, #chunks == 1 and "=-e" or "=-e " .. i, "t")
    if not chunk then refuse("%s", err) end
    local code = run(session.out, chunk)
    if code ~= status.fine then return code end
  end
  return status.fine
end

local function banner(session)
  if session.quiet then return end
  session.out:note(string.format("pumpsh %s on %s. \\? for help, \\q to leave.", pump.version,
    session:place()))
  if session.is_default then
    session.out:note("No -u URL and no PUMP_URL: what you write is gone when you leave.")
  end
  session.is_default = nil
end

local function run_lines(session, given)
  local shell = shell_of.new(session)
  if not system.is_terminal(0) then return shell:run_piped() end
  banner(session)
  return shell:run { init = not given["no-init"] }
end

local function is_file(path)
  local file = io.open(path, "r")
  if file then file:close() end
  return file ~= nil
end

-- The arguments of a command, with the program's options among them.
local function parse_command(command, source, given)
  local spec = setmetatable({ options = {} }, { __index = command })
  table.move(command.options or {}, 1, #(command.options or {}), 1, spec.options)
  table.move(options, 1, #options, #spec.options + 1, spec.options)
  local mine, err = args.parse(spec, source)
  if mine and mine.help then return mine end
  if not mine then
    refuse("%s: %s (pumpsh %s)", command.name, err, args.brief_usage(command))
  end
  for name, value in pairs(given) do
    if mine[name] == nil then mine[name] = value end
  end
  return mine
end

-- What pumpsh says when it is asked about itself, nil when it is not.
local function of_itself(given)
  if given.help then return require("repl.help").program(commands.list, options) end
  if given.version then return "pumpsh " .. pump.version .. "\n" end
  if given.man then return require("repl.manual").page(commands.list, options) end
  local make = given.completion and require("repl.completion")[given.completion]
  return make and make(commands.list, options)
end

-- What the arguments ask for: a command, a script, chunks, the shell; as an exit status.
local function work(session, given, command, script)
  local code = status.fine
  if given.execute then code = run_chunks(session, given.execute) end
  if code ~= status.fine and not given.interactive then return code end
  if command then return run_command(session, command, given) end
  if script then return script() end
  if given.execute and not given.interactive then return code end
  return run_lines(session, given)
end

local function program(out, argv)
  local source = args.from_list(argv)
  local given, err = args.parse({ options = options }, source, true)
  if not given then refuse("%s", err) end
  local about = of_itself(given)
  if about then return run(out, function() out:write(about) end) end
  local word, command, unknown = given.word, nil, nil
  if word then command, unknown = commands.find(word, "cli") end
  if word and not command and not word:find("%.lua$") and not is_file(word) then
    refuse("%s", unknown)
  end
  if command then
    given = parse_command(command, source, given)
    if given.help then
      return run(out, function() out:write(require("repl.help").command(command, "pumpsh ")) end)
    end
  end
  local session <close> = open_session(out, given)
  set_globals(session)
  -- That tasks which still run find the connection closed in the end is no error of theirs.
  local _ <close> = setmetatable({}, { __close = function() task.on_error = function() end end })
  local code = work(session, given, command, word and function()
    return run_script(session, word, source, argv)
  end)
  -- A task whose error nobody saw to but the one who reads it.
  local is_unseen = session.task_failed and not out.interactive
  return code == status.fine and is_unseen and status.usage or code
end

return function(argv)
  local out = output.new()
  local ok, result = pcall(program, out, argv)
  local code = ok and result or status.of(result)
  local fine, drained = pcall(out.drain, out, code == status.interrupted)
  if not ok then
    if result ~= output.nobody_reads then out:error(status.line(result)) end
  elseif not fine and drained ~= output.nobody_reads then
    out:error(tostring(drained))
    return status.usage
  elseif fine and not drained then
    return status.interrupted
  end
  return code
end

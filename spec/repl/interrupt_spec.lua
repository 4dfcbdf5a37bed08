-- Ctrl-C: what it stops, how soon, and that the next line works.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local clock = require("pump.core").hrtime

local key, shows, ends = terminal.key, terminal.shows, terminal.ends
local typed, line, prompt = terminal.typed, terminal.line, terminal.prompt

-- What Ctrl-C may take, beyond what a key takes here at that moment to be seen on the screen. A
-- machine that is busy with something else may delay one try, so the best of some counts.
local soon = 0.1 * support.slow * support.watched
local tries = 8

local function open(arguments, env)
  terminal.open(arguments, env)
  ends(prompt)
end

local function start(text)
  typed(text)
  key "Enter"
  os.execute("sleep 0.3")
end

-- Seconds from a key until the screen ends with what it is to lead to.
local function seconds_to(name, text)
  local began = clock()
  local view
  key(name)
  repeat
    view = terminal.screen()
    assert.is_true(clock() - began < 40 * support.slow, view)
  until view:sub(-#text) == text
  return clock() - began
end

-- What runs ends soon when Ctrl-C is pressed, and there is the prompt again.
local function stops(text)
  return seconds_to("C-c", text .. "\n" .. prompt)
end

-- Starts something and stops it, until it was soon enough.
local function stops_soon(begin, text)
  local best = math.huge
  for _ = 1, tries do
    local echo = seconds_to("z", prompt .. " z")
    key "BSpace"
    begin()
    best = math.min(best, stops(text or "interrupted") - echo)
    if best <= soon then return end
    line "for _ = 1, 30 do print() end"
  end
  error(string.format("it takes %.3f seconds", best), 2)
end

-- One by one: a signal that comes while the same one waits is none.
local function press_thrice()
  for _ = 1, 3 do
    key "C-c"
    os.execute("sleep 0.2")
  end
end

local describe_here = terminal.describe(describe, pending)

describe_here("Ctrl-C stops what runs, within a tenth of a second:", function()
  local fifo = support.path()

  setup(function()
    terminal.setup()
    os.execute("mkfifo " .. fifo)
    open()
    line("fifo = '" .. fifo .. "'")
    line "es = {} for i = 1, 1000 do es[i] = pump.new_event('T', { n = i }) end"
    line "x = conn:publish('long', es)"
    line "x = conn:publish_event('kept', 'T', 1)"
  end)
  teardown(function()
    terminal.close()
    support.clean()
  end)

  for name, chunk in pairs {
    ["a wait"] = "pump.sleep(60)",
    ["a busy loop"] = "while true do end",
    ["a busy loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["strings that grow"] = "while true do s = ('x'):rep(1e6) end",
    ["a function of gsub"] = "while true do s = ('x'):rep(1e5):gsub('x', function() end) end",
    ["a comparison of sort"] =
      "while true do table.sort({ 3, 2, 1 }, function(a, b) return a < b end) end",
    ["tables that grow"] = "t = {} while true do t = { t } end",
    ["a read of a long stream"] = "while true do for e in conn:iter('long') do x = e end end",
    ["printing a long stream"] = "while true do for e in conn:iter('long') do print(e) end end",
    ["printing what is large"] = "while true do print(('large '):rep(2e6)) end",
    ["requests without end"] = "while true do conn:ping() end",
    ["a wait in a coroutine of one's own"] = "coroutine.wrap(function() pump.sleep(60) end)()",
    ["a wait in a comparison"] = "table.sort({ 1, 2 }, function() pump.sleep(60) end)",
    ["a wait for an event"] = "conn:subscribe_to('silent'):next()",
    ["a loop over what never ends"] = "for e in conn:stream('silent', { forever = true }) do end",
    ["a join"] = "pump.spawn(pump.sleep, 60):join()",
    ["a program that is read from"] = "io.popen('sleep 60'):read()",
    ["a program that is waited for"] = "os.execute('sleep 60')",
    ["a pipe that nobody writes to"] = "io.open(fifo):read()",
    ["what makes events without end"] =
      "conn:publish('many', function() return pump.new_event('T') end)",
    ["a following read"] = "\\read news --follow",
    ["lines from a pipe that nobody writes to"] = "\\i $FIFO",
    ["results to a pipe that nobody reads"] = "\\o $FIFO",
    ["a program of the system"] = "\\! sleep 60",
    ["a watch"] = "\\watch 60 1 + 1",
    ["a watch without a pause"] = "\\watch 0.1 x = conn:ping()",
    ["a ping of many"] = "\\ping --count 100",
    ["a connection to who says nothing"] = "\\connect $SILENT",
    ["a search for a cluster that is away"] = "\\connect discover://127.0.0.1:1,127.0.0.1:2",
  } do
    it(name .. ", and keeps the connection", function()
      local silent = chunk:find("$SILENT", 1, true) and support.serve()
      if silent then os.execute("kill -STOP " .. silent.pid) end
      local text = chunk:gsub("$FIFO", fifo):gsub("$SILENT", silent and silent.url or "")
      local said = chunk:find "^\\!" and "exit status 130" or chunk:find "execute" and "2" or nil
      stops_soon(function() start(text) end, said)
      if silent then
        os.execute("kill -CONT " .. silent.pid)
        silent.stop()
      end
      assert.matches("\n0\n", line "conn:get_event('kept', 0).event_number")
    end)
  end
end)

describe_here("Ctrl-C", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  it("drops the line at the prompt", function()
    open()
    typed "half a line"
    key "C-c"
    shows(prompt .. " half a line^C\n" .. prompt)
    typed "{ 1,"
    key("Enter", "C-c")
    assert.matches("\n3\n", line "1 + 2")
  end)

  it("stops what waits for a connection that is lost", function()
    local server, memory = support.serve(), prompt
    prompt = "pump " .. server.address .. ">"
    terminal.prompt = prompt
    terminal.open("-q -u " .. server.url)
    shows "pump "
    line "x = conn:ping()"
    server.stop()
    prompt = "pump (reconnecting)>"
    terminal.prompt = prompt
    ends(prompt)
    stops_soon(function() start "conn:ping()" end)
    prompt, terminal.prompt = memory, memory
  end)

  it("is raised in what swallows it, the second time", function()
    open()
    start "while true do pcall(function() while true do end end) end"
    key "C-c"
    os.execute("sleep 0.2")
    stops "interrupted"
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("ends the program the third time, where Lua never comes to its senses", function()
    open()
    start "(('a'):rep(60)):find(('a*'):rep(60) .. 'b')"
    press_thrice()
    shows "status 130"
  end)

  it("stops a task that computes behind the prompt, and gives the terminal back", function()
    terminal.start("env HOME=" .. terminal.home .. " PS1='shell$ ' bash --norc --noprofile -i")
    ends "shell$"
    line(support.binary .. " -q -X")
    line "x = pump.spawn(function() pump.sleep(0.3) while true do end end)"
    os.execute("sleep 0.5")
    key "C-c"
    shows "interrupted"
    assert.matches("\n2\n", line "1 + 1")
    line "function hard() pump.sleep(0.3) string.find(('a'):rep(60), ('a*'):rep(60) .. 'b') end"
    line "x = pump.spawn(hard)"
    os.execute("sleep 0.5")
    press_thrice()
    ends "shell$"
    typed "echo $?"
    key "Enter"
    shows "\n130\n"
  end)
end)

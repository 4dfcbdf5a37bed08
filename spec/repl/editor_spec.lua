-- The line that is typed, in both editors: readline, where it is built in, and the shell's own.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local key, look, shows, ends = terminal.key, terminal.look, terminal.shows, terminal.ends
local typed, line, prompt = terminal.typed, terminal.line, terminal.prompt

local function ends_with(text)
  look(function(view) return view:sub(-#text) == text end)
end

local function specs_of(editor)
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  local function open()
    terminal.open("-q", "PUMPSH_EDITOR=" .. editor)
    ends(prompt)
  end

  it("moves, inserts and deletes", function()
    open()
    for _, case in ipairs {
      { "bc", "C-a", "a", "abc" },
      { "abd", "Left", "c", "abcd" },
      { "ac", "C-b", "b", "C-e", "d", "abcd" },
      { "abxc", "Left", "BSpace", "abc" },
      { "abxc", "C-b", "C-b", "C-d", "abc" },
      { "abxc", "Home", "Right", "Right", "DC", "End", "d", "abcd" },
      { "one two", "C-w", "three", "one three" },
      { "one two", "M-b", "M-b", "M-d", "six", "six two" },
      { "one two", "C-a", "M-f", "C-k", "one" },
      { "one two", "M-b", "C-u", "two" },
      { "one two", "C-w", "C-a", "C-y", "twoone" },
      { "日本é", "Left", "BSpace", "日é" },
      { "abdc", "C-t", "abcd" },
      { "acb", "Left", "C-t", "d", "abcd" },
      { "one two", "C-w", "C-_", "one two" },
      { "one", "C-a", "x", "C-_", "one" },
      { "one", "C-u", "two", "C-_", "C-_", "one" },
      { "one two", "C-a", "M-d", "C-e", "!", "C-_", "C-_", "one two" },
    } do
      for i = 1, #case - 1 do
        if case[i]:find("^[CM]%-.$") or case[i]:find("^%u%a+$") then key(case[i])
        else terminal.send(case[i]) end
      end
      ends(prompt .. " " .. case[#case])
      key("C-e", "C-u")
      ends(prompt)
    end
  end)

  it("is searched for in what was typed before", function()
    open()
    for _, text in ipairs { "'the first pony'", "'another one'", "'the second pony'" } do
      line(text)
    end
    typed "half"
    key "C-r"
    terminal.send "pony"
    ends_with ": 'the second pony'"
    key "C-r"
    ends_with ": 'the first pony'"
    key "C-g"
    ends(prompt .. " half")
    key "C-r"
    terminal.send "firz"
    key "BSpace"
    ends_with ": 'the first pony'"
    key("C-e", "BSpace", "BSpace")
    terminal.send "ies'"
    ends(prompt .. " 'the first ponies'")
    key "Enter"
    shows '\n"the first ponies"\n'
    key "C-r"
    terminal.send "other"
    key "Enter"
    look(function(view) return select(2, view:gsub('\n"another one"\n', "")) == 2 end)
    key "C-r"
    terminal.send "nothing like it"
    key "C-c"
    ends(prompt)
  end)

  it("goes on after a paste that never ends", function()
    open()
    line "\\tail news"
    line "function tell() for _ = 1, 3 do pump.sleep(1) conn:publish_event('news', 'T') end end"
    line "x = pump.spawn(tell)"
    typed "before "
    key("Escape", "[", "2", "0", "0", "'~'")
    terminal.send "pasted"
    shows "news@2"
    key "C-c"
    ends_with("^C\n" .. prompt)
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("continues a line, and recalls it whole", function()
    open()
    typed "{ 1,"
    key "Enter"
    ends "           .."
    line "2 }"
    assert.matches("\n{ 1, 2 }\n", terminal.screen())
    typed "half"
    key "Up"
    shows("{ 1,\n2 }")
    key "Down"
    ends(prompt .. " half")
    key "Up"
    key "Enter"
    look(function(view) return select(2, view:gsub("\n{ 1, 2 }\n", "")) == 2 end)
  end)

  it("keeps a line whole that is longer than the terminal is wide", function()
    open()
    local long = ("0123456789"):rep(12) .. ("日本"):rep(20)
    typed("'" .. long)
    key("C-a", "C-e")
    typed "'"
    key("C-a", "Right", "x")
    key "Enter"
    look(function(view) return view:gsub("\n", ""):find('"x' .. long .. '"', 1, true) end)
    typed(("y"):rep(80 - #prompt - 1)) -- up to the very edge
    key("BSpace", "BSpace")
    ends(prompt .. " " .. ("y"):rep(80 - #prompt - 3))
  end)

  it("takes a paste of fifty lines", function()
    open()
    local lines = {}
    for i = 1, 50 do lines[i] = "local v" .. i .. " =\t" .. i end
    local path = support.path()
    support.write_file(path, table.concat(lines, "\n"))
    terminal.tmux("load-buffer " .. path)
    terminal.tmux("paste-buffer -p")
    shows "v50 ="
    key "Enter"
    assert.matches("\n51\n", line "v1 + v50")
  end)

  it("takes a paste of fifty lines from a terminal that does not mark it", function()
    open()
    local path = support.path()
    support.write_file(path, ("n = (n or 0) + 1\n"):rep(50))
    terminal.tmux("load-buffer " .. path)
    terminal.tmux("paste-buffer")
    look(function(view) return select(2, view:gsub("n = %(n or 0%)", "")) > 20 end)
    os.execute("sleep 0.5")
    assert.matches("\n50\n", line "n")
  end)

  it("leaves the typed line whole while a thousand events a second come", function()
    open()
    line "\\tail ticks"
    typed [[x = pump.spawn(function() for i = 1, 3000 do conn:publish_event("ticks", "Tick", i)]]
    line " if i % 2 == 0 then pump.sleep(0.001) end end end)"
    for char in ("'typed while it rains 日本'"):gmatch(utf8.charpattern) do
      terminal.send(char)
      os.execute("sleep 0.02")
    end
    shows "ticks@2999"
    local view = ends(prompt .. " 'typed while it rains 日本'")
    for row in view:gmatch("([^\n]+)\n") do assert.matches("^ticks@%d+ +Tick ", row) end
    local count = 0
    for number in terminal.tmux("capture-pane -p -S -"):gmatch("\nticks@(%d+)") do
      if tonumber(number) == count then count = count + 1 end
    end
    assert.equal(3000, count)
    key "Enter"
    shows '\n"typed while it rains 日本"\n'
  end)

  it("survives a change of the terminal's size and a stop, while events come", function()
    terminal.start("env PUMPSH_EDITOR=" .. editor .. " HOME=" .. terminal.home
      .. " PS1='shell$ ' bash --norc --noprofile -i")
    ends "shell$"
    line(support.binary .. " -q -X")
    line "\\tail ticks"
    typed [[x = pump.spawn(function() while true do conn:publish_event("ticks", "Tick", 1)]]
    line " pump.sleep(0.1) end end)"
    typed "'kept'"
    terminal.tmux("resize-window -x 60 -y 20")
    os.execute("sleep 0.2")
    ends(prompt .. " 'kept'")
    key "C-z"
    ends "shell$"
    typed "fg"
    key "Enter"
    ends(prompt .. " 'kept'")
    key "Enter"
    shows '\n"kept"\n'
    line "\\untail"
    key "C-d"
    ends "shell$"
  end)

  it("leaves on Ctrl-D where nothing is typed", function()
    open()
    typed "ab"
    key("C-a", "C-d")
    ends(prompt .. " b")
    key("C-d", "C-d")
    shows "status 0"
  end)
end

local describe_here = terminal.describe(describe, pending)

if support.run({ "-e", "print((pcall(require, 'repl.editor')))" }).out == "true\n" then
  describe_here("with readline, the line", function() specs_of "readline" end)
end

describe_here("with the shell's own editor, the line", function() specs_of "own" end)

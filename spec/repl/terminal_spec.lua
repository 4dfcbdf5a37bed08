-- pumpsh in a real terminal: tmux types, and looks at the screen.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support

local shell, key, screen, look = terminal.shell, terminal.key, terminal.screen, terminal.look
local shows, ends, typed, line = terminal.shows, terminal.ends, terminal.typed, terminal.line
local open, close = terminal.open, terminal.close
local prompt = terminal.prompt
local describe_here = terminal.describe(describe, pending)

describe_here("in a terminal", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(close)

  it("greets, and says where it is", function()
    open ""
    local view = ends(prompt)
    assert.matches("pumpsh %d+%.%d+%.%d+ on memory:", view)
    assert.equal(3, support.lines(view .. "\n"))
  end)

  it("echoes, and shows events as a table that fits or as blocks", function()
    open()
    ends(prompt)
    assert.matches("\n2\n", line "1 + 1")
    line([[\publish ponies PonyJumped {"Height": ]] .. ("1"):rep(70) .. "}")
    for row in line "\\read ponies":gmatch("[^\n]+") do assert.is_true(utf8.len(row) <= 80) end
    assert.matches("number +type +created +data\n +0 +PonyJumped", screen())
    assert.matches("…\n" .. prompt, screen())
    line "\\x"
    assert.matches("\nponies@0 PonyJumped\nid  ", line "\\read ponies")
  end)

  it("shows control characters harmlessly, and wide ones", function()
    open()
    ends(prompt)
    line [[bad = "\27[2J\27]0;owned\7"]]
    line [[x = conn:publish_event("evil", bad, bad, { metadata = bad })]]
    for _, command in ipairs { "\\read evil", "\\event evil 0", "conn:get_event('evil', 0).type",
      "print(conn:get_event('evil', 0).type)", "for e in conn:iter('evil') do print(e) end" } do
      assert.matches("evil", line(command))
    end
    assert.matches("\\x1b%[2J", screen())
    assert.matches('\n"日本é"\n', line '"日本é"')
  end)

  it("sends nothing raw to the terminal, however large or strange it is", function()
    open()
    ends(prompt)
    local raw = support.path()
    line "\\set pager off"
    line [[bad = "\27[5mowned\27]0;owned\7\xc2\x9b5mowned"]]
    line [[x = conn:publish_event(bad, bad, { [bad] = bad }, { metadata = bad })]]
    line [[x = conn:publish_event("big", "Json", { s = ("x"):rep(10 << 20) })]]
    line [[x = conn:publish_event("big", "Binary", ("\0\27[5m\xff"):rep(2 << 20))]]
    line [[x = conn:publish_event("big", "Text", (bad .. "\n"):rep(300000))]]
    terminal.tmux("pipe-pane " .. support.quote("cat >" .. raw))
    line "\\tail $all --from 0"
    shows "big@2"
    for _, command in ipairs { "\\read big", "\\event big 1", "\\tails", "conn:get_event('big', 2)",
      "conn:get_event('big', 1).data", "conn:get_event(bad, 0).metadata", "error(bad)", "{ bad }",
      "conn:get_event(bad, 3)", "\\read $all --backward --count 5", "conn:iter(bad)().type",
      "pump.spawn(error, bad)", "print(bad)", "\\x", "\\read $all --backward --count 1",
      "\\format jsonl", "conn:get_event(bad, 0)", "\\format raw", "conn:get_event(bad, 0)",
      "conn:get_event('big', 1)", "\\nothing" } do
      line(command)
    end
    local seen = support.read_file(raw)
    assert.matches("owned", seen)
    assert.is_nil(seen:find("\27[5m", 1, true))
    assert.is_nil(seen:find("\27]", 1, true))
    assert.is_nil(seen:find("\xc2\x9b", 1, true))
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("keeps a history that others cannot read and that holds no password", function()
    open()
    ends(prompt)
    line "111"
    typed "\\connect tcp://derpy:muffins@127.0.0.1:1"
    key "Enter"
    shows "connect_failed"
    line "x = { password = 'muffins' }"
    line " 'not this'"
    typed "{ 3,"
    key "Enter"
    line "4 }"
    key "C-d"
    shows "status 0"
    close()
    local file = terminal.home .. "/state/pumpsh/history"
    local kept = support.read_file(file)
    assert.matches("111\n", kept)
    assert.is_nil(kept:find("muffins"))
    assert.is_nil(kept:find("not this"))
    assert.equal("600\n", shell("stat -c %a " .. file))
    open()
    ends(prompt)
    key "Up"
    shows "{ 3,\n4 }"
    key "Up"
    ends(prompt .. " 111")
  end)

  it("ends with its terminal, whatever it is at", function()
    for _, chunk in ipairs { "", "while true do end", "pump.sleep(60)" } do
      open()
      ends(prompt)
      line "pid = io.open('/proc/self/stat'):read('n')"
      typed "pid"
      key "Enter"
      local answer = "\n(%d+)\n" .. prompt .. "$" -- "pid" stood there before: look for the number
      local pid = look(function(view) return view:find(answer) end):match(answer)
      if chunk ~= "" then
        typed(chunk)
        key "Enter"
        os.execute("sleep 0.2")
      end
      close()
      local gone
      for _ = 1, 100 do
        gone = not select(2, shell("kill -0 " .. pid))
        if gone then break end
        os.execute("sleep 0.05")
      end
      assert.is_true(gone, chunk)
    end
  end)

  it("runs the init file, unless it is told not to", function()
    local init = terminal.home .. "/config/pumpsh"
    os.execute("mkdir -p " .. init)
    support.write_file(init .. "/init.lua", "greeting = 'from init'")
    open()
    ends(prompt)
    assert.matches('\n"from init"\n', line "greeting")
    close()
    open "-q -X"
    ends(prompt)
    assert.matches("\nnil\n", line "greeting")
    os.remove(init .. "/init.lua")
  end)

  it("asks for a password unseen", function()
    open "-q -u tcp://127.0.0.1:1 --user derpy -W ping"
    ends "Password:"
    terminal.send "muffins"
    key "Enter"
    assert.is_nil(shows "status 2":find("muffins"))
  end)

  it("edits nothing where the terminal is dumb", function()
    open("-q", "TERM=dumb")
    ends(prompt)
    assert.matches("\n2\n", line "1 + 1")
    typed "pump.sleep(60)"
    key "Enter"
    os.execute("sleep 0.2")
    key "C-c"
    shows "interrupted"
    line "\\tail ponies"
    typed "conn:publish_event('ponies', 'PonyJumped').first"
    key "Enter"
    shows "\nponies@0  PonyJumped"
    key "C-d"
    shows "status 0"
  end)

  it("uses colours only where they are wanted", function()
    local function coloured(arguments, env)
      open(arguments, env)
      ends(prompt)
      line "'text'"
      local view = terminal.tmux("capture-pane -p -e")
      close()
      return view:find("\27[32m", 1, true) ~= nil
    end
    assert.is_true(coloured("-q"))
    assert.is_false(coloured("-q", "NO_COLOR=1"))
    assert.is_false(coloured("-q --no-color"))
  end)

  it("colours JSON whose letters are not all ASCII, too", function()
    open "-q --format json"
    ends(prompt)
    line [[x = conn:publish_event("é", "日本", { Pony = "é\xc2\x9b5m" })]]
    for _, command in ipairs { "\\read é", "\\streams", "\\meta é" } do
      line "for _ = 1, 50 do print() end"
      local view = line(command)
      assert.matches("é", view)
      assert.is_nil(view:find("\\x1b", 1, true), view)
      assert.is_nil(view:find("\\u001b", 1, true), view)
    end
    line "\\read é"
    assert.matches('"é\\u009b5m"', screen(), 1, true)
    assert.truthy(terminal.tmux("capture-pane -p -e"):find("\27[32m", 1, true))
  end)

  it("stays after -e where it is told to", function()
    open "-q -i -e 'seven = 7'"
    ends(prompt)
    assert.matches("\n7\n", line "seven")
  end)
end)

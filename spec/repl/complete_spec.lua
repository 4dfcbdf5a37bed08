-- What the tab key offers.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local key, ends, shows = terminal.key, terminal.ends, terminal.shows
local typed, line, prompt = terminal.typed, terminal.line, terminal.prompt

-- Types, and waits until the tab key made that of it: what is known comes when it comes.
local function becomes(text, wanted)
  typed(text)
  for _ = 1, 20 do
    key "Tab"
    os.execute("sleep 0.05")
    local view = terminal.screen()
    if view:sub(-#wanted - #prompt - 1) == prompt .. " " .. wanted then break end
  end
  ends(prompt .. " " .. wanted)
  key("C-e", "C-u")
end

terminal.describe(describe, pending)("the tab key", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  local function open(arguments)
    terminal.open(arguments)
    ends(prompt)
  end

  it("completes commands, their options and what options take", function()
    open()
    becomes("\\conni", "\\conninfo")
    becomes("\\read news --foll", "\\read news --follow")
    becomes("\\format jsonl", "\\format jsonl")
    becomes("\\? conni", "\\? conninfo")
    becomes("\\set tr", "\\set traceback")
    becomes("\\set pager of", "\\set pager off")
    becomes("\\tail $a", "\\tail $all")
    becomes("\\nothing like", "\\nothing like")
  end)

  it("leaves a blank behind what is whole", function()
    open()
    typed "\\conni"
    key "Tab"
    typed "x"
    ends(prompt .. " \\conninfo x")
    key "C-u"
    typed "\\i /us"
    key "Tab"
    typed "x"
    ends(prompt .. " \\i /usr/x")
  end)

  it("completes globals, and methods of conn before it is used", function()
    open()
    becomes("pump.new_", "pump.new_event")
    line "x = conn"
    becomes("conn:publish_", "conn:publish_event")
    becomes("x = tabl", "x = table")
  end)

  it("completes streams and types that were seen, or found in the background", function()
    local store = "file:" .. support.path(".db")
    for _, stream in ipairs { "ponies-Äpfel", "$odd-one" } do
      support.run { "-u", store, "publish", stream, "PonyJumped" }
    end
    terminal.prompt = "pump " .. store .. ">"
    prompt = terminal.prompt
    open("-q -u " .. store)
    becomes("\\read pon", "\\read ponies-Äpfel")
    becomes("\\read --from 0 ponies-", "\\read --from 0 ponies-Äpfel")
    becomes("\\read $odd", "\\read $odd-one")
    becomes("\\publish more Pony", "\\publish more PonyJumped")
    becomes("conn:iter('ponies-", "conn:iter('ponies-Äpfel")
    line "\\publish fresh-stream T"
    becomes("\\read fre", "\\read fresh-stream")
    terminal.prompt = "pump memory:>"
    prompt = terminal.prompt
  end)

  it("completes names of files", function()
    local path = support.path(".lua")
    support.write_file(path, "1 + 1")
    open()
    typed("\\i " .. path:sub(1, -4))
    key("Tab", "Enter")
    shows "\n2\n"
  end)

  it("shows a hundred of many, and does not ask", function()
    open()
    line "for i = 1, 300 do conn:publish_event('many-' .. i, 'T') end"
    line "\\set pager off"
    line "\\format raw"
    line "\\set pager off"
    line "\\read $all"
    typed "\\read many-"
    key("Tab", "Tab")
    shows "… and 200 more"
    ends(prompt .. " \\read many-")
  end)

  it("waits for no network", function()
    local silent = support.serve()
    os.execute("kill -STOP " .. silent.pid)
    terminal.open("-q -u " .. silent.url)
    ends("pump " .. silent.url:match "[%d.:]+$" .. ">")
    typed "\\read some"
    key("Tab", "Tab")
    typed "thing"
    shows "> \\read something"
    os.execute("kill -CONT " .. silent.pid)
    silent.stop()
  end)
end)

-- Programs that have the terminal for a while (the pager, the editor, \!), and questions asked on
-- it, in a real terminal.
local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local support = dofile(folder .. "/support.lua")
local terminal = dofile(folder .. "/terminal.lua")

local prompt = terminal.prompt
local open, line, typed, key = terminal.open, terminal.line, terminal.typed, terminal.key
local shows, ends, screen = terminal.shows, terminal.ends, terminal.screen

local fill = [[for i = 1, 200 do conn:publish_event("many", "T", { i = i }) end]]

terminal.describe(describe, pending)("the pager", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  local function opened(env)
    open("-q -X", env)
    ends(prompt)
    line(fill)
  end

  local function command(text)
    typed(text)
    key "Enter"
  end

  it("shows what is taller than the screen, and gives the terminal back", function()
    opened()
    command "\\read many"
    ends ":"
    assert.matches("number +type +created +data\n +0 +T", screen())
    assert.is_nil(screen():find('"i":100'))
    key "G"
    shows '{"i":200}'
    key "q"
    ends(prompt)
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("leaves alone what fits", function()
    opened()
    assert.matches("number +type.*\n" .. prompt .. "$", line "\\read many --count 20")
    assert.is_nil(line("\\conninfo"):find(":$"))
  end)

  it("is no error when it is left early, however much is to come", function()
    opened()
    line [[conn:publish("endless", (function() local i = 0 return function() i = i + 1
      if i <= 20000 then return pump.new_event("T", { i = i }) end end end)()).count]]
    command "\\read endless"
    ends ":"
    key "q"
    ends(prompt)
    assert.matches("\n3\n", line "1 + 2")
    assert.is_nil(screen():find("pager", 1, true))
  end)

  it("keeps the connection alive, and holds back what others have to say", function()
    opened()
    local paged, said = support.path(), support.path()
    line(([[x = pump.spawn(function() repeat pump.sleep(0.05) until io.open '%s'
      io.open('%s', 'w'):close() print 'said meanwhile' error 'failed' end)]]):format(paged, said))
    command "\\read many"
    ends ":"
    support.write_file(paged, "")
    terminal.look(function() return io.open(said) end)
    os.execute("sleep 0.3")
    assert.is_nil(screen():find("meanwhile", 1, true))
    key "C-c"
    key "q"
    shows "said meanwhile"
    shows "failed"
    assert.matches("\n199\n", line "conn:get_event('many', 'last').event_number")
  end)

  it("pages what a line of Lua gives, but not what it prints", function()
    opened()
    command "conn:get('many')"
    ends ":"
    key "q"
    ends(prompt)
    command "for i = 1, 100 do print(i) end"
    ends("100\n" .. prompt)
  end)

  it("is the one that PAGER says, with colours", function()
    local path = support.path()
    opened("PAGER='cat >" .. path .. "'")
    line "\\read many"
    local paged = support.read_file(path)
    assert.equal(201, support.lines(paged))
    assert.matches("\27%[1mnumber", paged)
  end)

  it("is none where PAGER is empty, or it is put off", function()
    opened "PAGER="
    line "\\read many"
    shows '{"i":200}'
    terminal.close()
    opened()
    line "\\set pager off"
    line "\\read many"
    shows '{"i":200}'
  end)

  it("says so when it cannot be started", function()
    opened "PAGER=nosuchpager"
    line "\\read many"
    shows "the pager did not start"
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("pages commands of the command line too", function()
    local store = support.path(".db")
    support.run { "-u", "file:" .. store, "-e", fill }
    open("-u file:" .. store .. " read many")
    ends ":"
    key "q"
    shows "status 0"
  end)
end)

terminal.describe(describe, pending)("other programs", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  it("get Ctrl-C for themselves", function()
    open "-q -X"
    ends(prompt)
    typed "\\! echo begun; exec sleep 60"
    key "Enter"
    shows "\nbegun"
    key "C-c"
    shows "exit status 130"
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("edit the last lines of Lua, and they are run when they were changed", function()
    local editor = support.path(".sh")
    support.write_file(editor, [[case $1 in *.lua) ;; *) echo no suffix; exit 1 ;; esac
      stat -c %a "$1"; sed -i s/hello/goodbye/ "$1"]])
    open("-q -X", "VISUAL= EDITOR='sh " .. editor .. "'")
    ends(prompt)
    line "print('hello')"
    line "\\e"
    shows "\n600\ngoodbye\n"
    line "\\e"
    shows "nothing was changed, nothing is run"
  end)

  it("edit nothing that is run when they fail", function()
    open("-q -X", "VISUAL= EDITOR=false")
    ends(prompt)
    line "print('hello')"
    line "\\e"
    shows "e: false ended with exit status 1; nothing is run"
  end)
end)

terminal.describe(describe, pending)("a question", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  it("comes before a deletion, and only yes is yes", function()
    open "-q -X"
    ends(prompt)
    line [[x = conn:publish_event("ponies", "T")]]
    for _, answer in ipairs { "", "n", "ye" } do
      typed "\\delete ponies"
      key "Enter"
      ends "Delete ponies (last event 0)? [y/N]"
      if answer ~= "" then typed(answer) end
      key "Enter"
      shows "delete: not done"
      terminal.tmux "clear-history"
      line "\\! clear"
    end
    typed "\\delete ponies --hard"
    key "Enter"
    ends "Delete ponies (last event 0) for ever, its name too? [y/N]"
    key "C-c"
    shows "interrupted"
    assert.matches("\n1\n", line "#conn:get('ponies')")
    typed "\\delete ponies"
    key "Enter"
    ends "Delete ponies (last event 0)? [y/N]"
    key "C-d"
    shows "delete: not done"
    terminal.tmux "clear-history"
    line "\\! clear"
    typed "\\delete ponies" -- Ctrl-D was no answer for ever
    key "Enter"
    ends "Delete ponies (last event 0)? [y/N]"
    typed "yes"
    key "Enter"
    shows "ponies is deleted"
    line "\\delete ponies --hard --yes"
    shows "ponies is deleted for ever"
  end)

  it("comes on the command line too, and the data goes elsewhere", function()
    local store, said = support.path(".db"), support.path()
    support.run { "-u", "file:" .. store, "publish", "ponies", "T" }
    open("-u file:" .. store .. " delete ponies >" .. said)
    shows "[y/N]"
    typed "y"
    key "Enter"
    shows "status 0"
    assert.matches('^{"stream":"ponies"', support.read_file(said))
  end)
end)

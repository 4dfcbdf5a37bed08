-- README shows a first session as it looks in a terminal. It is held here, line by line: the real
-- binary gets what README shows as typed, and has to answer what README shows. Where the shell has
-- changed on purpose, PUMP_UPDATE=1 ./test session writes README anew.
local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(folder .. "/terminal.lua")
local support = terminal.support

local page = support.root .. "/README.md"
local update = os.getenv "PUMP_UPDATE"
local command = "$ ./run"

-- The text between the fences of the block that starts with the command, and where it stands.
local function shown()
  local readme = support.read_file(page)
  local first = assert(readme:find("\n```text\n" .. command .. "\n", 1, true)) + #"\n```text\n"
  local last = assert(readme:find("\n```\n", first, true))
  return readme:sub(first, last), readme, first, last
end

-- What differs from one run to the next, as README shows it.
local function settled(text)
  return (text:gsub("%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d", "2026-01-05 09:41:07")
    :gsub("(  )%d%d:%d%d:%d%d", "%109:41:07")
    :gsub("%x%x%x%x%x%x%x%x%-%x+%-%x+%-%x+%-%x+", "5f0c2a11-8a4d-4c7e-9b1f-3d2e6a7b8c90")
    :gsub("position +%d+", "position  11")
    :gsub("pumpsh %d+%.%d+%.%d+", "pumpsh 0.1.0"))
end

terminal.describe(describe, pending)("the first session in README", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  it("is what happens", function()
    local wanted, readme, first, last = shown()
    terminal.open "-X"
    terminal.ends(terminal.prompt)
    for line in wanted:gmatch("[^\n]+") do
      local typed = line:match("^" .. terminal.prompt .. " (.*)$")
      if typed then
        terminal.typed(typed)
        terminal.key "Enter"
        if typed == "\\q" then terminal.shows "status 0"
        else terminal.ends(terminal.prompt) end
        if typed:find("^\\publish") then os.execute("sleep 0.2") end -- a tail shows it, perhaps
      end
    end
    local said = settled(terminal.tmux("capture-pane -p -S -"):gsub("status 0\n.*$", ""))
    said = command .. "\n" .. said:gsub("[ \t]+\n", "\n")
    if update then
      support.write_file(page, readme:sub(1, first - 1) .. said .. readme:sub(last + 1))
    else
      assert.equal(wanted, said)
    end
  end)
end)

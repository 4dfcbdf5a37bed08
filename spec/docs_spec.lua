-- Every snippet of README.md and docs/ is run. Lua blocks run in their order, one store a page,
-- with `pump` and `conn` there; what they print is held against their comments --> (… stands for
-- anything). Console blocks run line by line in a folder of their own, ./run being the shell that
-- was built. Blocks in C are compiled. Blocks in sh are for people's machines: their commands must
-- exist. Links lead somewhere, and docs/architecture.md names every file.
local helper = require "helper"
local pump = require "pump"

local read_file = helper.read_file

local root = assert(io.popen("pwd")):read "l"
local build = os.getenv "PUMP_BUILD" or root .. "/build"
local pumpsh = build .. "/pumpsh"

-- All ```kind blocks of a page, each with the line it starts at.
local function blocks_of(name, kind)
  local blocks, block, line = {}, nil, 0
  for text in (read_file(name) .. "\n"):gmatch "(.-)\n" do
    line = line + 1
    if block and text:find "^```" then
      blocks[#blocks + 1] = { text = table.concat(block, "\n") .. "\n", line = block.line }
      block = nil
    elseif block then
      block[#block + 1] = text
    elseif text == "```" .. kind then
      block = { line = line + 1 }
    end
  end
  return blocks
end

-- A pattern for a text in which … stands for anything.
local function pattern_of(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", ".-") .. "$"
end

local function pages()
  local names = { "README.md" }
  for name in assert(io.popen("ls docs/*.md")):lines() do names[#names + 1] = name end
  return names
end

local function run_lua(page, block, env)
  local said = {}
  env.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    said[#said + 1] = table.concat(parts, "\t")
  end
  local chunk = assert(load(("\n"):rep(block.line - 1) .. block.text, "@" .. page, "t", env))
  chunk()
  local promised = {}
  for text in block.text:gmatch "%-%->%s?([^\n]*)" do promised[#promised + 1] = text end
  for i = 1, math.max(#said, #promised) do
    assert.truthy(promised[i], ("%s:%d prints more than it says: %s"):format(page, block.line,
      said[i]))
    assert.truthy((said[i] or ""):find(pattern_of(promised[i])),
      ("%s:%d\nsays   %s\nprints %s"):format(page, block.line, promised[i], said[i]))
  end
end

local function run_console(page, block, folder)
  local expected, command = {}, nil
  local function check()
    if not command then return end
    local line = ("cd '%s' && env -u PUMP_URL HOME='%s' bash -c '%s'"):format(folder, folder,
      command:gsub("^%./run", pumpsh):gsub("'", "'\\''"))
    local pipe = assert(io.popen(line .. " 2>&1 </dev/null"))
    local said = pipe:read "a"
    pipe:close()
    local promised = table.concat(expected, "\n") .. (#expected > 0 and "\n" or "")
    assert.truthy(said:find(pattern_of(promised)),
      ("%s:%d\n$ %s\nsays:\n%sprints:\n%s"):format(page, block.line, command, promised, said))
  end
  for text in block.text:gmatch "([^\n]*)\n" do
    local typed = text:match "^%$ (.*)"
    if typed then
      check()
      command, expected = typed, {}
    else
      expected[#expected + 1] = text
    end
  end
  check()
end

for _, page in ipairs(pages()) do
  describe(page, function()
    local lua = blocks_of(page, "lua")
    if #lua > 0 then
      local conn
      setup(function() conn = assert(pump.connect("memory:")) end)
      teardown(function() conn:close() end)
      for _, block in ipairs(lua) do
        it("holds in the block of line " .. block.line, function()
          run_lua(page, block, setmetatable({ pump = pump, conn = conn }, { __index = _G }))
        end)
      end
    end

    local consoles = blocks_of(page, "console")
    if #consoles > 0 then
      local folder
      setup(function() folder = assert(io.popen("mktemp -d")):read "l" end)
      teardown(function() os.execute("rm -r '" .. folder .. "'") end)
      for _, block in ipairs(consoles) do
        it("holds in the console of line " .. block.line, function()
          run_console(page, block, folder)
        end)
      end
    end

    for _, block in ipairs(blocks_of(page, "c")) do
      it("compiles in the block of line " .. block.line, function()
        local compile = "cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I '%s/src' -x c -"
        local compiler = assert(io.popen(compile:format(root), "w"))
        compiler:write(block.text)
        assert.truthy(compiler:close())
      end)
    end

    for _, block in ipairs(blocks_of(page, "sh")) do
      it("names commands that exist in the block of line " .. block.line, function()
        for program in block.text:gmatch "%./([%w_/]+)" do
          assert.truthy(io.open(root .. "/" .. program), program)
        end
        for preset in block.text:gmatch "%-%-preset (%w+)" do
          assert.truthy(read_file("CMakePresets.json"):find('"name": "' .. preset .. '"', 1, true))
        end
      end)
    end
  end)
end

-- The anchors of a page's headings, as GitHub makes them.
local function anchors_of(name)
  local anchors = {}
  for heading in ("\n" .. read_file(name)):gmatch "\n#+ ([^\n]+)" do
    anchors[heading:lower():gsub("[^%w%s-]", ""):gsub(" ", "-")] = true
  end
  return anchors
end

local function names_in(command)
  local names = {}
  for name in assert(io.popen(command)):lines() do names[name] = true end
  return names
end

describe("the links of", function()
  for _, page in ipairs(pages()) do
    it(page .. " lead somewhere", function()
      local folder = page:match "^(.*/)" or ""
      for link in read_file(page):gmatch "%]%(([^)]+)%)" do
        local target, anchor = link:match "^([^#]*)#?(.*)$"
        target = target == "" and page or folder .. target
        assert.truthy(target:find "^%a+://" or io.open(target), link)
        assert.truthy(anchor == "" or anchors_of(target)[anchor], link)
      end
    end)
  end
end)

describe("docs/architecture.md", function()
  local text = read_file "docs/architecture.md"

  it("names every file of every layer, and none that is not there", function()
    local named = {}
    for folder, files in text:gmatch "\n| `([%w_/]+/)`[^|\n]* | (`[^\n]*) |" do
      named[folder] = named[folder] or {}
      for file in files:gmatch "`([%w_]+)`" do named[folder][file] = true end
    end
    named["src/lua/"].core_node = nil -- a module, and no file
    for folder in pairs(names_in "find src/*/ lua/pump/ repl/ -type d") do
      folder = folder:gsub("/*$", "/")
      local there = names_in("ls " .. folder .. " | sed -n 's/\\.[chl][ua]*$//p' | sort -u")
      assert.are.same(there, named[folder] or {}, folder)
    end
  end)

  it("names every folder", function()
    for folder in pairs(names_in "ls -d */ .ci/ spec/*/") do
      assert.truthy(folder:find "^build" or text:find("`" .. folder, 1, true), folder)
    end
  end)
end)

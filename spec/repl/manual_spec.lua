-- What pumpsh says of itself: \?, --help, the manual page and completion list exactly what the
-- tables of commands and options hold.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local run, fine, fails, objects = support.run, support.fine, support.fails, support.objects

teardown(support.clean)

-- The tables, as the binary has them.
local commands = objects(fine(run { "-e", [[
  for _, command in ipairs(require("repl.commands").list) do
    local options = pump.array {}
    for i, option in ipairs(command.options or {}) do options[i] = option[1] end
    print(pump.json.encode { name = command.name, help = command.help,
      only = command.only or "both", options = options })
  end]] }))
local options = objects(fine(run { "-e", [[
  for _, option in ipairs(require "repl.options") do
    print(pump.json.encode { name = option[1], short = option.short or "" })
  end]] }))

local function names(where)
  local list = {}
  for _, command in ipairs(commands) do
    if command.only == "both" or command.only == where then list[#list + 1] = command.name end
  end
  return list
end

local function option_names()
  local list = {}
  for i, option in ipairs(options) do list[i] = option.name end
  return list
end

-- What a pattern captures in a text, in the order in which it stands there.
local function all(text, pattern)
  local list = {}
  for found in text:gmatch(pattern) do list[#list + 1] = found end
  return list
end

describe("the table of commands", function()
  it("says of each what it does, in a line", function()
    for _, command in ipairs(commands) do
      assert.is_true(#command.help > 5, command.name)
      assert.is_nil(command.help:find("\n"))
      assert.is_nil(command.help:find("%.$"), command.name)
    end
  end)

  it("is what \\? lists", function()
    local said = fine(run({ "-q" }, { input = "\\?\n" })).out
    assert.same(names "shell", all(said, "\n  \\(%S+)"))
  end)

  it("is what --help lists, with the options", function()
    local said = fine(run { "--help" }).out
    local listed = said:match("Commands.-\n(.-)\nOptions:")
    assert.same(names "cli", all("\n" .. listed, "\n  (%w+)"))
    assert.same(option_names(), all(said:match("Options:.*"), "\n  [%s%-%a,]- %-%-([%w%-]+)"))
    for line in said:gmatch("[^\n]+") do assert.is_true(utf8.len(line) <= 82, line) end
  end)

  it("is what each command's --help tells", function()
    for _, command in ipairs(commands) do
      if command.only ~= "shell" then
        local said = fine(run { command.name, "--help" }).out
        assert.matches("^pumpsh " .. command.name, said)
        assert.same(command.options, all(said:gsub("^[^\n]*", ""), "\n      %-%-([%w%-]+)"))
      end
      if command.only ~= "cli" then
        assert.matches("^\\" .. command.name:gsub("%p", "%%%0") .. "[ \n]",
          fine(run({ "-q" }, { input = "\\? " .. command.name .. "\n" })).out)
      end
    end
    for _, line in ipairs { "help ping", "help \\ping", "\\? \\ping" } do
      assert.matches("^\\ping %[", fine(run({ "-q" }, { input = line .. "\n" })).out)
    end
    fails(1, "there is no command \\raed; did you mean \\read%?",
      run({ "-q" }, { input = "\\? raed\n" }))
  end)
end)

describe("the manual page", function()
  local page = fine(run { "--man" }).out

  local function titles(section)
    local body = assert(page:match("\n%.SH " .. section .. "\n(.-)\n%.SH "))
    local list = {}
    for title in body:gsub("%.RS.-%.RE", ""):gmatch("%.TP\n([^\n]*)") do
      title = title:gsub("\\f[BIR]", ""):gsub("\\%-", "-"):gsub("\\e", "\\")
      list[#list + 1] = title
    end
    return list
  end

  it("lists the commands, and their options", function()
    local listed, wanted = {}, {}
    for i, title in ipairs(titles "COMMANDS") do listed[i] = title:match("^%S+") end
    for i, command in ipairs(commands) do
      wanted[i] = (command.only == "shell" and "\\" or "") .. command.name
      for _, option in ipairs(command.options) do
        assert.truthy(page:find("\\-\\-" .. option:gsub("%-", "\\-"), 1, true), option)
      end
    end
    assert.same(wanted, listed)
  end)

  it("lists the options", function()
    local listed = {}
    for i, title in ipairs(titles "OPTIONS") do listed[i] = title:match("%-%-([%w%-]+)") end
    assert.same(option_names(), listed)
  end)

  it("is one that man reads without a complaint", function()
    if not os.execute("command -v groff >/dev/null") then return pending "there is no groff" end
    local path = support.path()
    support.write_file(path, page)
    local pipe = io.popen("env -u LD_PRELOAD groff -man -Tutf8 -ww -z " .. path .. " 2>&1")
    assert.equal("", pipe:read("a"))
    pipe:close()
  end)
end)

describe("completion", function()
  -- What bash offers where a line was typed so far.
  local function bash(line)
    local result = run({}, { shell = "exec bash -c '" .. ([[
      source <("$PUMPSH" --completion bash)
      compopt() { :; }
      COMP_LINE=$LINE COMP_POINT=${#LINE}
      _pumpsh
      printf "%s\n" "${COMPREPLY[@]}"]]) .. "'", env = { "LINE=" .. line } })
    assert.equal("", result.err)
    return all(result.out, "[^\n]+")
  end

  local function with_dashes(list)
    local dashed = {}
    for i, name in ipairs(list) do dashed[i] = "--" .. name end
    return dashed
  end

  it("offers the commands", function()
    assert.same(names "cli", bash "pumpsh ")
    assert.same(names "cli", bash "pumpsh -q --url file:x.db ")
    assert.same({ "streams" }, bash "pumpsh --format json st")
    assert.same({}, bash "pumpsh -u ")
  end)

  it("offers the options, each command's with its own", function()
    assert.same(with_dashes(option_names()), bash "pumpsh --")
    for _, command in ipairs(commands) do
      if command.only ~= "shell" then
        local wanted = with_dashes(option_names())
        for _, option in ipairs(command.options) do wanted[#wanted + 1] = "--" .. option end
        assert.same(wanted, bash("pumpsh " .. command.name .. " x --"))
      end
    end
    assert.same({ "table", "json", "jsonl", "raw" }, bash "pumpsh --format ")
    assert.same({ "raw" }, bash "pumpsh read s --format r")
    assert.same({ "memory:" }, bash "pumpsh serve m")
  end)

  it("says all of it to zsh", function()
    local script = fine(run { "--completion", "zsh" }).out
    for _, name in ipairs(names "cli") do
      assert.truthy(script:find("\n    '" .. name .. ":", 1, true), name)
    end
    for _, name in ipairs(option_names()) do
      assert.matches("'%*?%-%-" .. name:gsub("%-", "%%-") .. "=?%[", script)
    end
    for _, command in ipairs(commands) do
      for _, option in ipairs(command.options) do
        assert.matches("'%-%-" .. option:gsub("%-", "%%-") .. "=?%[", script)
      end
    end
    if os.execute("command -v zsh >/dev/null") then
      local path = support.path()
      support.write_file(path, script)
      assert.truthy(os.execute("zsh -n " .. path))
    end
  end)

  it("is made for those two", function()
    fails(1, "%-%-completion is one of bash, zsh, not \"fish\"", run { "--completion", "fish" })
  end)
end)

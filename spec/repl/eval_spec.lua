-- Lines of Lua: expressions, statements, lines to be continued, locals that live on.
dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local eval = require "repl.eval"

local scope, env

local function run(line)
  local fn, err = scope:compile(line)
  assert(fn, err)
  return fn()
end

before_each(function()
  env = setmetatable({}, { __index = _G })
  scope = eval.scope(env)
end)

describe("a line", function()
  it("that is an expression gives its values", function()
    assert.equal(2, run "1 + 1")
    assert.same({ 1, nil, 3, n = 3 }, table.pack(run "1, nil, 3"))
    assert.equal(3, run "return 3")
  end)

  it("that is a statement runs", function()
    assert.equal(0, select("#", run "x = 7"))
    assert.equal(7, env.x)
  end)

  for _, line in ipairs { "for i = 1, 2 do", "x = {", "{ a = 1,", "1 +", "f(", "x = [[a",
    "--[[ a", "function f()", "if a then", "local a =" } do
    it("is to be continued: " .. line, function()
      local fn, _, unfinished = scope:compile(line)
      assert.is_nil(fn)
      assert.is_true(unfinished)
    end)
  end

  for _, line in ipairs { "end", "x = = 1", "local 1", "'abc", "1 1", "return return" } do
    it("is wrong: " .. line, function()
      local fn, err, unfinished = scope:compile(line)
      assert.is_nil(fn)
      assert.is_falsy(unfinished)
      assert.matches("^line:1:", err)
    end)
  end
end)

describe("a local", function()
  it("lives on, and is one variable for all", function()
    run "local n = 1 function inc() n = n + 1 return n end"
    assert.equal(2, run "inc()")
    assert.equal(2, run "n")
    run "n = 10"
    assert.equal(11, run "inc()")
    assert.is_nil(rawget(env, "n"))
  end)

  it("may be declared anew", function()
    run "local n = 1"
    run "local n, m = n + 1, {}"
    assert.equal(2, run "n")
    assert.equal("table", run "type(m)")
  end)

  it("may be a function that calls itself", function()
    run "local function fact(n) return n < 2 and 1 or n * fact(n - 1) end"
    assert.equal(120, run "fact(5)")
  end)

  it("may be a constant", function()
    run "local k <const> = 5"
    assert.equal(5, run "k")
  end)

  it("of a block, a string or a comment does not", function()
    run "do local a = 1 end for b = 1, 2 do local c = b end"
    run "s = 'local d = 1' -- local e = 1"
    run "local f = function() local g = 1 end"
    assert.is_nil(run "a or b or c or d or e or g")
  end)

  it("does not get in the way of return", function()
    assert.equal(4, run "local q = 4 return q")
    assert.equal(4, run "local q = 4 if q then return q end")
  end)

  it("is no upvalue too many, however many there are", function()
    for i = 1, 300 do run("local v" .. i .. " = " .. i) end
    assert.equal(301, run "v1 + v300")
  end)

  it("keeps the line numbers of errors", function()
    run "local a = 1"
    local ok, err = pcall(run, "x = a\nerror('here')")
    assert.is_false(ok)
    assert.matches("line:2: here", err)
  end)
end)

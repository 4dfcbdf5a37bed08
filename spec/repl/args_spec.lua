-- Arguments, from a list and from a line.
dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local args = require "repl.args"

local publish = { name = "publish", arguments = { "STREAM", "TYPE", "[BODY]" }, rest = true }
local read = { name = "read", arguments = { "STREAM" }, options = {
  { "count", "N", integer = 1, short = "n" }, { "backward" },
  { "format", "F", one_of = { "table", "json" } }, { "timeout", "S", number = true },
  { "execute", "CHUNK", short = "e", many = true },
} }

local function of_line(spec, line) return args.parse(spec, args.from_line(line)) end
local function of_list(spec, ...) return args.parse(spec, args.from_list { ... }) end

describe("a line", function()
  it("gives the last argument the rest, so that JSON needs no quotes", function()
    assert.same({ STREAM = "ponies", TYPE = "T", BODY = '{"a": "b  c" }' },
      of_line(publish, 'ponies T {"a": "b  c" } '))
    assert.same({ STREAM = "ponies", TYPE = "T" }, of_line(publish, "ponies T"))
  end)

  it("keeps blanks together in quotes", function()
    assert.same({ STREAM = "a b", TYPE = "it's", BODY = "-" },
      of_line(publish, [["a b" "it's" -]]))
    assert.same({ STREAM = "don't" }, of_line(read, "don't"))
  end)
end)

describe("a list", function()
  it("has options anywhere, in every spelling", function()
    assert.same({ STREAM = "s", count = 3, backward = true }, of_list(read, "--count", "3", "s",
      "--backward"))
    assert.same({ STREAM = "s", count = 3 }, of_list(read, "s", "--count=3"))
    assert.same({ STREAM = "s", count = 3 }, of_list(read, "-n3", "s"))
    assert.same({ STREAM = "s", count = 3 }, of_list(read, "-n", "3", "s"))
    assert.same({ STREAM = "s", execute = { "a", "b" } }, of_list(read, "-e", "a", "-e", "b", "s"))
    assert.same({ STREAM = "--count" }, of_list(read, "--", "--count"))
    assert.same({ STREAM = "-" }, of_list(read, "-"))
    assert.same({ STREAM = "-1" }, of_list(read, "-1"))
  end)

  it("leaves what comes behind the first word, where that is wanted", function()
    local source = args.from_list { "--backward", "x.lua", "--count", "y" }
    assert.same({ backward = true, word = "x.lua" }, args.parse(read, source, true))
    assert.same({ "--count", "y" }, source.remaining())
  end)

  local wrong = {
    { {}, "STREAM is missing" },
    { { "" }, "STREAM is empty" },
    { { "a", "b" }, '"b" is one argument too many' },
    { { "a", "--cuont", "3" }, "there is no option --cuont; did you mean --count?" },
    { { "a", "--frobnicate" }, "there is no option --frobnicate" },
    { { "-lead" }, "there is no option -lead; -- stands before arguments that begin with -" },
    { { "a", "--count", "2147483648" }, "--count must be 2147483647 or less" },
    { { "a", "--count" }, "--count wants N after it" },
    { { "a", "--count", "x" }, '--count wants a whole number, not "x"' },
    { { "a", "--count", "1.5" }, '--count wants a whole number, not "1.5"' },
    { { "a", "--count", "0" }, "--count must be 1 or more" },
    { { "a", "--count", "99999999999999999999" },
      '--count wants a whole number, not "99999999999999999999"' },
    { { "a", "--timeout", "nan" }, '--timeout wants a number of seconds above 0, not "nan"' },
    { { "a", "--timeout", "-1" }, '--timeout wants a number of seconds above 0, not "-1"' },
    { { "a", "--format", "xml" }, '--format is one of table, json, not "xml"' },
    { { "a", "--backward=1" }, "--backward takes no value" },
    { { "a", "\27[1m" }, '"\\x1b[1m" is one argument too many' },
  }
  for _, case in ipairs(wrong) do
    it("that is wrong is told so: " .. case[2], function()
      local given, message = of_list(read, table.unpack(case[1]))
      assert.is_nil(given)
      assert.equal(case[2], message)
    end)
  end
end)

it("a usage line says what a command takes", function()
  assert.equal("publish STREAM TYPE [BODY]", args.usage(publish))
  assert.matches("^read STREAM %[%-%-count N%] %[%-%-backward%]", args.usage(read))
end)

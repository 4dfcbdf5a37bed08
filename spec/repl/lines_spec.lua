-- Lines piped into pumpsh: the shell's language without its terminal.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local function lines(input, arguments, options)
  options = options or {}
  options.input = input
  return support.run(arguments or { "-q" }, options)
end

local function fine(input, arguments, options)
  local result = lines(input, arguments, options)
  assert.equal("", result.err)
  assert.equal(0, result.status)
  return result.out
end

teardown(support.clean)

describe("lines of Lua", function()
  it("echo expressions, and keep the last result", function()
    assert.equal("2\n", fine "1 + 1\n")
    assert.equal("4\n5\n", fine "4\n_ + 1\n")
    assert.equal('"a"\nnil\n', fine "'a', nil\n")
    assert.equal("", fine "x = 1\n\n   \n-- nothing\n")
    assert.equal("7", fine "x = io.write(7)")
  end)

  it("go on until they are finished", function()
    assert.equal("{ a = 1, b = 2 }\n", fine "{ a = 1,\n\n  b = 2 }\n")
    assert.equal("1\n2\n", fine "for i = 1, 2 do\nprint(i)\nend\n")
  end)

  it("keep their locals", function()
    assert.equal("3\n", fine "local a, b = 1, 2\na + b\n")
  end)

  it("have conn and pump", function()
    assert.matches("^[%d.e-]+\n$", fine "conn:ping()\n")
    assert.equal('"function"\n', fine "type(pump.spawn)\n")
    assert.equal("0\n", fine 'conn:publish_event("s", "T", { a = 1 }).last_event_number\n')
  end)

  it("may loop over what a server sends", function()
    assert.matches("^s[/@]0 T [^\n]*\n$", fine [[
x = conn:publish_event("s", "T", 1)
for e in conn:iter("s") do print(e) end
]])
  end)

  it("show events as events", function()
    local out = fine 'x = conn:publish_event("s", "T", { n = 1 })\nconn:get("s")\n'
    assert.matches('^{"stream":"s","type":"T",.*"data":{"n":1}.*}\n$', out)
  end)

  it("run tasks of their own meanwhile", function()
    assert.equal("tick\ntock\n",
      fine "t = pump.spawn(function() print 'tick' end)\npump.sleep(0.05)\nprint 'tock'\n")
  end)

  it("go on after an error, and exit with its status", function()
    local result = lines 'error "boom"\n1\n'
    assert.equal("1\n", result.out)
    assert.equal("pumpsh: line:1: boom\n", result.err)
    assert.equal(1, result.status)
    assert.equal(3, lines('conn:get_event("nosuch", 0)\n').status)
    assert.equal(2, lines("conn\n", { "-u", "tcp://127.0.0.1:1" }).status)
    assert.equal(1, lines("x y\n").status)
  end)

  it("that are never finished are told so", function()
    local result = lines "for i = 1, 2 do\n"
    assert.matches("not finished", result.err)
    assert.equal(1, support.lines(result.err))
    assert.equal(1, result.status)
  end)

  it("show more of an error when that is wanted", function()
    local result = lines "\\set traceback on\nerror 'boom'\n"
    assert.matches("boom.*stack traceback", result.err)
  end)

  it("tell of a task that failed, in a line", function()
    local result = lines "t = pump.spawn(error, 'boom')\npump.sleep(0.01)\n"
    assert.matches("boom", result.err)
    assert.equal(1, support.lines(result.err))
  end)
end)

describe("commands", function()
  it("are those of the command line", function()
    local out = fine '\\publish s T {"a": "b  c"}\n\\read s\n\\ping\n\\event s last\n'
    assert.equal(4, support.lines(out))
    assert.matches('"data":{"a": "b  c"}', out)
    assert.matches("conninfo", fine "\\?\n")
    assert.matches("^\\read STREAM", fine "\\? read\n")
    assert.matches("conninfo", fine "help\n")
  end)

  it("take JSON in quotes as well", function()
    assert.matches('"data":{"a": 1}', fine [[
\publish s T '{"a": 1}'
\read s
]])
  end)

  it("say what is wrong", function()
    for line, message in pairs {
      ["\\raed x"] = "there is no command \\raed; did you mean \\read?",
      ["\\frob"] = "there is no command \\frob; \\? lists them",
      ["\\read"] = "read: STREAM is missing (\\read STREAM",
      ["\\"] = "there is no command \\",
      ["\\format xml"] = "format: it is one of table, json, jsonl, raw",
      ["\\set nonsense"] = 'there is no setting "nonsense"',
      ["\\i /nonexistent"] = "i: /nonexistent: No such file",
      ["\\o /nonexistent/x"] = "o: /nonexistent/x: No such file",
      ["\\? frob"] = "there is no command \\frob",
      ["\\connect tcp://127.0.0.1:1"] = "connect_failed",
      ["\\serve"] = "serve is a command of its own: pumpsh serve",
      ["\\read s --count x"] = '--count wants a whole number, not "x"',
    } do
      local result = lines(line .. "\n")
      assert.is_truthy(result.err:find(message, 1, true), line .. ": " .. result.err)
      assert.equal(1, support.lines(result.err), result.err)
      assert.is_true(result.status > 0)
    end
  end)

  it("change how things are shown", function()
    local out = fine [[
x = conn:publish_event("s", "T", 1)
\format table
\read s
\format
]]
    assert.matches("^number +type", out)
    assert.matches("\ntable\n$", out)
  end)

  it("run files and write to files", function()
    local source, target = support.path(), support.path()
    support.write_file(source, "local n = 20\n\\o " .. target .. "\nn + 1\n\\o\nfor i = 1, 2 do")
    local result = lines("\\i " .. source .. "\n'after'\n")
    assert.equal("21\n", support.read_file(target))
    assert.equal('"after"\n', result.out)
    assert.matches("not finished", result.err)
  end)

  it("run programs", function()
    assert.equal("hello  you\n", fine "\\! echo 'hello  you'\n")
    assert.matches("exit status 3", lines("\\! exit 3\n").err)
  end)

  it("edit", function()
    assert.equal("1\n42\n", fine("print(1)\n\\e\n", { "-q" },
      { env = { "EDITOR=echo 'print(42)' >", "VISUAL=" } }))
  end)

  it("leave", function()
    assert.equal("1\n", fine "1\n\\q\n2\n")
    assert.equal("1\n", fine "1\nexit\n2\n")
  end)

  it("go elsewhere, and stay when that fails", function()
    local path = support.path(".db")
    local out = fine("\\connect file:" .. path .. "\nconn.endpoint\n")
    assert.equal('"file:' .. path .. '"\n', out)
    local result = lines "conn.endpoint\n\\connect tcp://127.0.0.1:1\nconn.endpoint\n"
    assert.equal('"memory:"\n"memory:"\n', result.out)
  end)

  it("read what is left of standard input", function()
    assert.equal('{"stream":"s","imported":2}\n',
      fine '\\import s\n{"type":"a"}\n{"type":"b"}\n')
  end)
end)

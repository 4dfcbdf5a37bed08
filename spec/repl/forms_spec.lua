-- Every command in both of its forms, on a terminal and in a pipe, and what it says to an argument
-- that is wrong. Commands that go on and on are held in follow_spec.lua.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local run, fine = support.run, support.fine

local go_on = { tail = true, untail = true, tails = true, watch = true, serve = true,
  groups = true, group = true, consume = true, ack = true, nack = true }

local position = '"position":{"commit":%d+,"prepare":%d+}'
local event = '{"stream":"s","type":"T0","id":"[%x-]+","event_number":0,"data":{"i": 0},'
  .. '"metadata":null,"created":[%d.]+,"is_json":true,"position":[^\n]+}\n'

-- What is typed (a list; its input behind "<"), what comes in a pipe, what on a terminal, and what
-- is wrong with `wrong`.
local commands = {
  read = { { "read", "s", "--count", "1" }, "^" .. event .. "$",
    "^number  type +created +data\n     0  T0 +[%d-]+ [%d:]+  {\"i\":0}\n$",
    wrong = { { "read", "s", "--cuont", "1" }, "did you mean %-%-count" } },
  event = { { "event", "s", "0" }, "^" .. event .. "$",
    "^s@0 T0\nid +[%x-]+\ncreated +[%d-]+ [%d:]+\n.*data +{\"i\": 0}\n$",
    wrong = { { "event", "s", "first" }, "NUMBER is a whole number" } },
  publish = { { "publish", "p", "T", "{}" },
    '^{"stream":"p","first_event_number":%d,"last_event_number":%d,' .. position .. "}\n$",
    "^p@%d T\n$", wrong = { { "publish", "p", "T", "{" }, "BODY is not JSON" } },
  import = { { "import", "i", "<", '{"type":"a"}\n{"type":"b"}\n' },
    '^{"stream":"i","imported":2}\n$', "i: 2 events imported\n$",
    wrong = { { "import", "i", "now" }, "one argument too many" } },
  export = { { "export", "one" }, '^{"stream":"one",[^\n]*}\n$', '^{"stream":"one",[^\n]*}\n$',
    wrong = { { "export" }, "STREAM is missing" } },
  streams = { { "streams", "s" }, '^{"last_event_number":1,"stream":"s"}\n$',
    "^last_event_number  stream\n +1  s\n$",
    wrong = { { "streams", "a", "b" }, "one argument too many" } },
  meta = { { "meta", "s" }, '^{"stream":"s","version":%-1,"metadata":{}}\n$',
    "^stream    s\nversion   %-1\nmetadata  {}\n$", wrong = { { "meta", "s", "1" }, "an object" } },
  delete = { { "delete", "i", "--yes" }, '^{"stream":"i","hard":false,' .. position .. "}\n$",
    "^i is deleted\n$", wrong = { { "delete", "i", "j" }, "one argument too many" } },
  ping = { { "ping" }, '^{"seconds":[%d.e-]+}\n$', "^.* answered in [%d.]+ ms\n$",
    wrong = { { "ping", "--count", "some" }, "wants a whole number" } },
  conninfo = { { "conninfo" }, '^{"url":"file:[^"]*",.*"state":"connected".*}\n$',
    "^url +file:.*\nstate +connected\n",
    wrong = { { "conninfo", "all" }, "one argument too many" } },
  members = { { "members" }, "^pumpsh: not_supported: an embedded store has no members",
    "^pumpsh: not_supported", wrong = { { "members", "all" }, "one argument too many" } },
  connect = { { "\\connect memory:\nconn.endpoint" }, '^"memory:"\n$', '"memory:"\n',
    wrong = { { "\\connect memory" }, "connect_failed" } },
  format = { { "\\format" }, "^jsonl\n$", "table\n",
    wrong = { { "\\format xml" }, "it is one of table, json" } },
  x = { { "\\x\n\\x" }, "^blocks are on\nblocks are off\n$", "blocks are on\n",
    wrong = { { "\\x y" }, "one argument too many" } },
  timing = { { "\\timing\n1" }, "^timing is on\n%([%d.]+ ms%)\n%([%d.]+ ms%)\n1\n$",
    "%([%d.]+ ms%)\n",
    wrong = { { "\\timing on" }, "one argument too many" } },
  set = { { "\\set" }, "^pager on\ntraceback off\n$", "pager on\ntraceback off\n",
    wrong = { { "\\set pgaer on" }, "there is no setting" } },
  i = { { "\\i $FILE" }, "^2\n$", "2\n", wrong = { { "\\i" }, "FILE is missing" } },
  o = { { "\\o /dev/null\n1\n\\o\n2" }, "^2\n$", "\n2\n",
    wrong = { { "\\o /nonexistent/x" }, "No such file" } },
  e = { { "\\e" }, "^2\n$", "2\n", wrong = { { "\\e /nonexistent/x" },
    "\npumpsh: e: .* ended with exit status 2; nothing is run\n", lines = 2 } },
  ["!"] = { { "\\! echo said" }, "^said\n$", "said\n", wrong = { { "\\! exit 3" }, "status 3" } },
  q = { { "\\q\n1" }, "^$", "\\q\n", wrong = { { "\\q now" }, "one argument too many" } },
  ["?"] = { { "\\? ping" }, "^\\ping %[%-%-count N%]\n", "\\ping %[%-%-count N%]\n",
    wrong = { { "\\? pnig" }, "did you mean \\ping" } },
}

local store, file

-- Words for the command line, and the lines for standard input.
local function parts(typed)
  if typed[1]:sub(1, 1) == "\\" then
    return { "-q", "-X" }, typed[1]:gsub("%$FILE", file) .. "\n"
  end
  local words = { "-u", store }
  for at, word in ipairs(typed) do
    if word == "<" then return words, typed[at + 1] end
    words[#words + 1] = word
  end
  return words, ""
end

local env = { "EDITOR=echo 1 + 1 >", "VISUAL=", "PAGER=", "TERM=dumb" }

local function in_pipe(typed)
  local words, input = parts(typed)
  local result = run(words, { input = input, env = env })
  return result.out, result.err
end

-- The same with a terminal for what comes out, and for the lines of the shell.
local function on_terminal(typed)
  local words, input = parts(typed)
  for i, word in ipairs(words) do words[i] = support.quote(word) end
  local command = support.binary .. " " .. table.concat(words, " ")
  if words[2] == "'-X'" then
    input = input .. "\\q\n"
  else
    local path = support.path()
    support.write_file(path, input)
    command = command .. " <" .. path
  end
  return run({}, { input = input, env = env,
    shell = "script -qec " .. support.quote(command) .. " /dev/null" }).out:gsub("\r", "")
end

describe("a command in its two forms", function()
  setup(function()
    store, file = "file:" .. support.path(".db"), support.path(".lua")
    support.write_file(file, "1 + 1\n")
    fine(run { "-u", store, "-e", [[
      for i = 0, 1 do
        conn:publish_event("s", "T" .. i, '{"i": ' .. i .. "}", { content_type = "json" })
      end
      conn:publish_event("one", "T")]] })
  end)
  teardown(support.clean)

  for name, case in pairs(commands) do
    it(name .. " is told in a pipe", function()
      if name == "delete" then in_pipe { "publish", "i", "T" } end
      local out, err = in_pipe(case[1])
      assert.matches(case[2], err .. out)
    end)

    it(name .. " is told on a terminal", function()
      if name == "delete" then in_pipe { "publish", "i", "T" } end
      assert.matches(case[3], (on_terminal(case[1])))
    end)

    it(name .. " says how to do it right", function()
      local _, err = in_pipe(case.wrong[1])
      assert.matches(case.wrong[2], err)
      assert.equal(case.wrong.lines or 1, support.lines(err))
    end)
  end

  it("is held here, or goes on and on", function()
    local list = fine(run { "-e",
      "for _, command in ipairs(require('repl.commands').list) do print(command.name) end" }).out
    for name in list:gmatch("[^\n]+") do
      assert.truthy(commands[name] or go_on[name], name .. " has no case in this spec")
    end
  end)
end)

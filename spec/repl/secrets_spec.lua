-- Passwords are asked unseen, and nothing that pumpsh shows or keeps has one in it.
local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(folder .. "/terminal.lua")
local support = terminal.support

local run, fine, fails = support.run, support.fine, support.fails

teardown(support.clean)

-- URLs that hold the word muffins as a password, or as a part of one.
local urls = {
  "tcp://derpy:muffins@127.0.0.1:1", "tcp://derpy:muf@muffins@127.0.0.1:1",
  "tcp://derpy:muf/muffins@127.0.0.1:1", "tcp://:muffins@127.0.0.1:1",
  "tcp://127.0.0.1:1?username=derpy&password=muffins", "tcps://derpy:muffins@127.0.0.1:x",
  "discover://derpy:muffins@127.0.0.1:1,127.0.0.2:1", "esdb://derpy:muffins@127.0.0.1:1",
  "tpc://derpy:muffins@127.0.0.1:1",
}

local function shows_nothing(result)
  assert.is_nil((result.out .. result.err):find("muffins", 1, true), result.out .. result.err)
  return result
end

describe("a password in a URL", function()
  for _, url in ipairs(urls) do
    it("is not shown: " .. url, function()
      local with = { "-u", url, "--timeout", "0.3" }
      shows_nothing(run { table.unpack(with, 1, 4) })
      local command = { table.unpack(with) }
      command[5] = "conninfo"
      assert.not_equal(0, shows_nothing(run(command)).status)
      shows_nothing(run({ "--timeout", "0.3" }, { env = { "PUMP_URL=" .. url }, input =
        "\\set traceback on\nconn\n\\conninfo\n\\connect " .. url .. "\nconn:ping()\n" }))
      shows_nothing(run { "--timeout", "0.3", "-e",
        string.format("print(pump.connect(%q))", url) })
    end)

    it("is kept in no history: " .. url, function()
      local result = fine(run { "-e", string.format([[
        local history = require "repl.history"
        print(history.is_secret("\\connect %s"), history.is_secret("pump.connect('%s')"))]],
        url, url) })
      assert.equal("true\ttrue\n", result.out)
    end)
  end

  it("is not shown where it was right", function()
    local result = run({}, { shell = [[
      "$PUMPSH" -q serve --listen 127.0.0.1:0 >"$SCRATCH.url" & server=$!
      while [ ! -s "$SCRATCH.url" ]; do sleep 0.05; done
      url=$(sed 's#tcp://#tcp://admin:changeit@#' "$SCRATCH.url"); rm "$SCRATCH.url"
      printf '\\conninfo\nconn\nconn.settings\n{ conn }\n' |
        "$PUMPSH" -u "$url" --format table
      kill $server; wait $server]] })
    assert.is_nil((result.out .. result.err):find("changeit", 1, true), result.out)
    assert.matches("url +tcp://admin:%*%*%*@127", result.out)
  end)
end)

describe("a password that is no part of a URL", function()
  it("comes from PUMP_PASSWORD", function()
    local env = { "PUMP_PASSWORD=changeit" }
    fine(run({ "-q", "--user", "admin", "ping" }, { env = env }))
    env[1] = "PUMP_PASSWORD=muffins"
    fails(3, "not_authenticated", shows_nothing(run({ "-q", "--user", "admin", "ping" },
      { env = env })))
  end)

  it("belongs to whom the URL names without one", function()
    local server = support.serve()
    local of = function(name) return "tcp://" .. name .. "@" .. server.address end
    local env = { env = { "PUMP_PASSWORD=changeit" } }
    fine(run({ "-u", of "ops", "ping" }, env))
    fine(run({ "-u", "tcp://" .. server.address .. "?username=ops", "ping" }, env))
    fails(3, "not_authenticated", run({ "-u", of "derpy", "ping" }, env))
    fails(3, "not_authenticated", run({ "-u", of "admin:muffins", "ping" }, env))
    -- Nor is what the command line says told to whom a later URL names.
    local later = { env = env.env, input = "\\connect " .. of "ops:muffins" .. "\n" }
    fails(3, "not_authenticated", run({ "-q", "--user", "admin", "-u", "memory:" }, later))
    server.stop()
  end)

  it("has to be there", function()
    for _, setting in ipairs { "UNUSED=", "PUMP_PASSWORD=" } do
      fails(1, "%-%-user wants a password: set PUMP_PASSWORD, or %-W asks for it",
        run({ "--user", "derpy", "ping" }, { env = { setting } }))
    end
  end)

  it("is none of the arguments", function()
    fails(1, "there is no option %-%-password", run { "--password", "muffins", "ping" })
  end)
end)

terminal.describe(describe, pending)("a password that is asked for", function()
  setup(terminal.setup)
  after_each(terminal.close)

  it("lets us in, unseen", function()
    terminal.open "-q -u memory: --user admin -W ping"
    terminal.ends "Password:"
    terminal.send "changeit"
    terminal.key "Enter"
    local view = terminal.shows "status 0"
    assert.matches("^Password:\n.* answered in ", view)
    assert.is_nil(view:find("changeit", 1, true))
  end)

  it("need not be told", function()
    terminal.open "-q -u memory: --user admin -W ping"
    terminal.ends "Password:"
    terminal.key "C-c"
    terminal.shows "pumpsh: interrupted\nstatus 130"
    terminal.close()
    terminal.open "-q -u memory: --user admin -W ping </dev/null"
    terminal.ends "Password:"
    terminal.key "C-d"
    terminal.shows "pumpsh: interrupted\nstatus 130"
  end)

  it("wants a terminal", function()
    fails(1, "%-W wants a terminal to ask on", run({}, { shell = 'setsid "$PUMPSH" -W ping' }))
  end)
end)

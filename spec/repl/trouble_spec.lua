-- What goes wrong around pumpsh: places that are none, disks that are full, bodies and arguments
-- that make no sense. Each is one clear line on standard error and the right exit status.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local run, fine, fails = support.run, support.fine, support.fails

teardown(support.clean)

describe("a URL with a mistake in it", function()
  for url, words in pairs {
    ["tpc://127.0.0.1:1113"] = 'no scheme "tpc"',
    ["tcp://127.0.0.1:x"] = "the port is not a number",
    ["tcp://127.0.0.1:99999"] = "the port is not between 1 and 65535",
    ["tcp://"] = "the host is missing",
    ["file:"] = "the path is missing",
    ["tcp://127.0.0.1?timeuot=1"] = "there is no option timeuot",
    ["tcp://derpy:muffins@127.0.0.1:x"] = "tcp://derpy:[^m]*@127.0.0.1:x: the port",
  } do
    it("is told so: " .. url, function()
      fails(2, "^pumpsh: connect_failed: the URL .*" .. words, run { "-u", url, "ping" })
    end)
  end
end)

describe("a store that cannot be opened", function()
  it("is named, with the reason", function()
    local nowhere = support.path() .. "/x.db"
    fails(2, nowhere:gsub("%p", "%%%0") .. ": cannot open the store: No such file or directory",
      run { "-u", "file:" .. nowhere, "ping" })
    fails(2, "/usr: this is a folder: name a file in it", run { "-u", "file:/usr", "ping" })
    fails(2, "/: this is a folder: name a file in it", run { "-u", "file:/", "ping" })
    local path = support.path(".db")
    support.write_file(path, ("this is no database\n"):rep(1000))
    fails(2, "this file is no store", run { "-u", "file:" .. path, "ping" })
  end)
end)

describe("a store that may not be written", function()
  -- The superuser may do anything, so it is somebody else who tries.
  it("is said to be so", function()
    local result = run({}, { shell = [[
      folder=$(mktemp -d /tmp/pumpsh-XXXXXX) && chmod 755 "$folder" && cd "$folder" || exit
      cp "$PUMPSH" pumpsh && mkdir folder && ./pumpsh -q -u file:folder/x.db publish s T 1 >&2
      chmod 444 folder/x.db; chmod 555 folder
      [ "$(id -u)" != 0 ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups"
      unset LD_PRELOAD
      for file in x.db y.db; do $as ./pumpsh -q -u file:folder/$file read s 2>&1; echo $?; done
      chmod 755 folder; rm -r "$folder"]] })
    assert.equal("pumpsh: store_failed: folder/x.db: no permission to write this store\n2\n"
      .. "pumpsh: store_failed: folder/y.db: cannot open the store: Permission denied\n2\n",
      result.out)
  end)
end)

describe("a refusal of the store that is built in", function()
  it("names the file", function()
    local path = support.path(".db")
    fails(3, "^pumpsh: not_authenticated: could not open " .. path:gsub("%p", "%%%0")
      .. ": the server refused the credentials",
      run({ "-u", "file:" .. path, "--user", "derpy", "ping" }, { env = { "PUMP_PASSWORD=x" } }))
  end)

  it("says once what is not supported", function()
    fails(3, "^pumpsh: not_supported: filters take EventStore 20.6 or newer %(",
      run { "-u", "memory:?like=5.0", "-e",
        "for _ in conn:iter_all { exclude_system = true } do end" })
  end)
end)

describe("a server that is none", function()
  -- One that accepts a connection and does what perl is told.
  local function against(code)
    return run({}, { shell = [[
      perl -MSocket -e '
        socket(S, AF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)); listen(S, 5);
        ($port) = sockaddr_in(getsockname(S)); $| = 1; print "$port\n";
        accept(C, S); ]] .. code .. [[; sleep 20' >"$SCRATCH.port" & server=$!
      while [ ! -s "$SCRATCH.port" ]; do sleep 0.05; done
      "$PUMPSH" -u "tcp://127.0.0.1:$(cat "$SCRATCH.port")?connect_timeout=1" ping; status=$?
      rm "$SCRATCH.port"; kill $server; exit $status]] })
  end

  local where = "^pumpsh: [%w_]+: could not connect to 127.0.0.1:%d+: "

  it("is closed", function()
    fails(2, "^pumpsh: connect_failed: could not connect to 127.0.0.1:1: connection refused",
      run { "-u", "tcp://127.0.0.1:1", "ping" })
  end)

  it("hangs", function()
    fails(2, where .. "it accepted, but did not answer within 1000 ms", against "sleep 10")
  end)

  it("is no EventStore", function()
    for _, code in ipairs {
      'syswrite C, "HTTP/1.1 400 Bad Request\\r\\n\\r\\n"',
      'syswrite C, pack("V", 0xffffffff) . "x" x 100',
      'syswrite C, join "", map { chr int rand 256 } 1 .. 5000',
      "close C",
    } do
      local result = against(code)
      fails(2, where, result)
    end
  end)
end)

describe("a full disk", function()
  local fill = [[for i = 1, 1000 do assert(conn:publish_event("s", "T", ("x"):rep(5000))) end]]

  -- A limit of the size of files is a full disk to whoever writes them.
  local function limited(command)
    return run({}, { env = { "FILL=" .. fill }, shell = "ulimit -f 400; " .. command })
  end

  it("fails a write to the store, and keeps what was answered", function()
    local store = support.path(".db")
    fails(3, "^pumpsh: bad_request: .*the store could not write",
      limited('"$PUMPSH" -u file:' .. store .. ' -e "$FILL"'))
    local count = tonumber(fine(run { "-u", "file:" .. store, "-e",
      "print(#conn:get('s', { max_count = 1000 }))" }).out)
    assert.is_true(count >= 1 and count < 1000, count)
  end)

  it("fails an import, and says how many are written", function()
    local store, lines = support.path(".db"), {}
    for i = 1, 5000 do lines[i] = '{"type":"T","data":"' .. ("x"):rep(500) .. '"}\n' end
    local input = support.path()
    support.write_file(input, table.concat(lines))
    fails(3, "^pumpsh: import: [%d,]+ events are written, then bad_request: ",
      limited('"$PUMPSH" -u file:' .. store .. " import s <" .. input))
  end)

  it("fails what is printed", function()
    local out = support.path()
    local result = limited([["$PUMPSH" -e 'for i = 1, 1e5 do print(i) end' >]] .. out)
    fails(1, "^pumpsh: cannot write the output: File too large\n$", result)
  end)

  it("gives up a file of \\o, and goes on", function()
    local result = run({ "-q" }, { input = "\\o /dev/full\n'lost'\n'seen'\n\\o\n" })
    assert.equal('"seen"\n', result.out)
    assert.equal("pumpsh: cannot write /dev/full: No space left on device; "
      .. "results are shown again\n", result.err)
    assert.equal(1, result.status)
  end)

  it("is the same on a disk that is full in truth", function()
    local folder = support.path()
    os.execute("mkdir " .. folder)
    if not os.execute("mount -t tmpfs -o size=1m none " .. folder .. " 2>/dev/null") then
      return pending "a small disk can be mounted by root only"
    end
    local store = "file:" .. folder .. "/x.db"
    local written = run { "-u", store, "-e", fill }
    local opened = run { "-u", "file:" .. folder .. "/y.db", "publish", "s", "T" }
    os.execute("umount " .. folder)
    fails(3, "^pumpsh: bad_request: .*database or disk is full", written)
    fails(2, "^pumpsh: store_failed: .*/y.db: cannot open the store: .*full", opened)
  end)
end)

describe("a reader that is slow", function()
  it("keeps no task waiting, and gets all", function()
    local result = run({}, { shell = [[
      "$PUMPSH" -q -e 'local function mark() pump.sleep(0.2) io.open(os.getenv "MARK", "w") end
        pump.spawn(mark) for i = 1, 1e5 do print(i) end io.write("the end")' |
      { while [ ! -e "$MARK" ]; do sleep 0.05; done; tail -c 14; }]],
      env = { "MARK=" .. support.path() } })
    assert.equal("", result.err)
    assert.equal("100000\nthe end", result.out:sub(-14))
  end)

  it("gets each line whole, though several tasks write", function()
    local result = run({}, { shell = [[
      "$PUMPSH" -q -e 'local tasks = {}
        for i = 0, 9 do
          tasks[i] = pump.spawn(function() for _ = 1, 5 do print(tostring(i):rep(30000)) end end)
        end
        for i = 0, 9 do tasks[i]:join() end' |
      { sleep 0.2; perl -ne '$whole += /^(\d)\1{29999}$/; END { print $whole }'; }]] })
    assert.equal("", result.err)
    assert.equal("50", result.out)
  end)
end)

describe("arguments that make no sense", function()
  for name, case in pairs {
    ["a missing one"] = { { "event", "s" }, "^pumpsh: event: NUMBER is missing %(pumpsh event " },
    ["a surplus one"] = { { "ping", "now" }, '^pumpsh: ping: "now" is one argument too many' },
    ["an empty one"] = { { "publish", "", "T" }, "^pumpsh: publish: STREAM is empty %(pumpsh " },
    ["a value that is none"] = { { "--timeout", "soon", "ping" },
      '^pumpsh: %-%-timeout wants a number of seconds above 0, not "soon"' },
    ["an option without its value"] = { { "read", "s", "--from" }, "%-%-from wants N after it" },
    ["an option with a value too much"] = { { "read", "s", "--backward=1" },
      "%-%-backward takes no value" },
    ["$all where a stream is meant"] = { { "-q", "export", "$all" }, "it takes one stream" },
    ["a number in $all"] = { { "event", "$all", "1" }, "read %$all %-%-from POSITION" },
    ["a place to listen"] = { { "serve", "--listen", "x" }, "say HOST:PORT, as 127.0.0.1:1113" },
    ["a place for all to hear"] = { { "serve", "--listen", "0.0.0.0:0" },
      "allow it with %-%-insecure%-listen" },
    ["what only the shell does"] = { { "untail" },
      "^pumpsh: untail works in the shell only: pumpsh, then \\untail" },
    ["one of a command with many options"] = { { "group", "create" },
      "^pumpsh: group: STREAM is missing %(pumpsh group ACTION STREAM GROUP %[options%]%)\n" },
    ["a folder as a script"] = { { "/" }, "^pumpsh: cannot read /: Is a directory" },
  } do
    it("are told how to do it right: " .. name, function() fails(1, case[2], run(case[1])) end)
  end

  it("are told so in the shell, too, and the next line works", function()
    local result = run({ "-q" }, { input = table.concat({ "\\event s", "\\ping now", "\\raed s",
      "\\format xml", "\\set colour on", "\\set pager maybe", "\\i /nonexistent",
      "\\o /nonexistent/x", "\\connect", "\\e /nonexistent", "1 + 1" }, "\n") })
    assert.equal("2\n", result.out)
    assert.equal(1, result.status)
    local expected = { "event: NUMBER is missing (\\event STREAM NUMBER)",
      'ping: "now" is one argument too many', "there is no command \\raed; did you mean \\read?",
      "format: it is one of table, json, jsonl, raw, not \"xml\"",
      'set: there is no setting "colour"', "set: pager is on or off",
      "i: /nonexistent: No such file", "o: /nonexistent/x: No such file",
      "connect: URL is missing", "e: " }
    local at = 0
    for line in result.err:gmatch("[^\n]+") do
      at = at + 1
      assert.equal("pumpsh: " .. expected[at], line:sub(1, 8 + #expected[at]))
    end
    assert.equal(#expected, at)
  end)

  it("end where a file runs itself", function()
    local path = support.path()
    support.write_file(path, "\\i " .. path .. "\n")
    fails(1, "files run files too deeply", run({ "-q" }, { input = "\\i " .. path .. "\n" }))
  end)
end)

describe("a body that can't be encoded", function()
  it("is told where", function()
    fails(1, "^pumpsh: publish: BODY is not JSON: .*at byte 5",
      run { "-q", "publish", "s", "T", '{"a"' })
    fails(1, "a string that is not UTF%-8", run { "-q", "publish", "s", "T", '"\255"' })
    fails(1, "^pumpsh: json_error: a function can't be JSON, at %[1%]",
      run { "-q", "-e", "assert(conn:publish_event('s', 'T', { print }))" })
    fails(1, "^pumpsh: json_error: ", run { "-q", "-e",
      "assert(conn:publish_event('s', 'T', { 0 / 0 }))" })
  end)
end)

describe("a standard file that is closed", function()
  local function closed(words)
    return run({}, { shell = [[timeout 10 "$PUMPSH" -q ]] .. words })
  end

  it("is not taken for what is opened next", function()
    fails(1, "cannot read standard input: Bad file descriptor", closed "import s <&-")
    fails(1, "cannot read standard input: Bad file descriptor", closed "publish s T - <&-")
    fails(1, "cannot write the output: Bad file descriptor", closed "ping >&-")
    assert.equal(1, closed("ping <&- >&- 2>&-").status)
    assert.equal(0, closed("ping 2>&- <&-").status)
  end)
end)

describe("an error in Lua", function()
  it("is shown, whatever it is", function()
    fails(1, '^pumpsh: { code = "x" }\n$', run { "-q", "-e", "error { code = 'x' }" })
    fails(1, "^pumpsh: nil\n$", run { "-q", "-e", "error()" })
  end)

  it("counts in a task, too", function()
    local result = run { "-q", "-e", "pump.spawn(error, 'oh no') pump.sleep(0.01) print 'end'" }
    assert.equal("end\n", result.out)
    assert.matches("oh no", result.err)
    assert.equal(1, result.status)
  end)
end)

describe("a line of import", function()
  it("says true or false of is_json", function()
    fails(1, "line 1: \"is_json\" is true or false",
      run({ "-q", "import", "s" }, { input = '{"type":"T","data":1,"is_json":"yes"}\n' }))
  end)
end)

describe("a history that is none", function()
  it("holds nothing up", function()
    local folder = support.path()
    os.execute("mkdir -p " .. folder .. "/pumpsh/history")
    local result = run({ "-q", "-e", 'print(#require "repl.history".load())' },
      { env = { "XDG_STATE_HOME=" .. folder } })
    assert.equal("0\n", result.out .. result.err)
  end)
end)

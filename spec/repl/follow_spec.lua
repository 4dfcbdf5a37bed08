-- What goes on while a person types: tail, and the line that stays whole below it.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local run = support.run

local key, look, shows, ends = terminal.key, terminal.look, terminal.shows, terminal.ends
local typed, line, prompt = terminal.typed, terminal.line, terminal.prompt

-- A command line with a server behind $url that ends with it.
local function with_server(shell)
  return run({}, { shell = [[
    "$PUMPSH" serve --listen 127.0.0.1:0 >"$SCRATCH.url" 2>/dev/null & server=$!
    while [ ! -s "$SCRATCH.url" ]; do sleep 0.05; done
    url=$(sed 's#tcp://#tcp://admin:changeit@#' "$SCRATCH.url"); rm "$SCRATCH.url"
    wait_for() { for i in $(seq 200); do grep -q "$1" "$2" && break; sleep 0.05; done; }
    printf '{"type":"t%d"}\n' 0 1 2 | "$PUMPSH" -u "$url" import news >/dev/null
    ]] .. shell .. [[

    kill $server; wait $server]] })
end

describe("tail", function()
  teardown(support.clean)

  it("follows what comes until Ctrl-C", function()
    local result = with_server [[
      "$PUMPSH" -u "$url" tail news >"$SCRATCH.out" & tail=$!
      for i in $(seq 100); do
        "$PUMPSH" -u "$url" publish news later >/dev/null
        [ -s "$SCRATCH.out" ] && break
      done
      kill -INT $tail; wait $tail; echo "status $?"
      head -1 "$SCRATCH.out"; rm "$SCRATCH.out"]]
    assert.matches('^status 130\n{"stream":"news","type":"later"', result.out)
    assert.equal("", result.err)
  end)

  it("begins where it is told, and goes on", function()
    local result = with_server [[
      "$PUMPSH" -u "$url" tail news --from 1 >"$SCRATCH.out" & tail=$!
      wait_for t2 "$SCRATCH.out"
      "$PUMPSH" -u "$url" publish news t3 >/dev/null
      wait_for t3 "$SCRATCH.out"
      kill -INT $tail; wait $tail
      grep -o '"type":"[^"]*"' "$SCRATCH.out"; rm "$SCRATCH.out"]]
    assert.equal('"type":"t1"\n"type":"t2"\n"type":"t3"\n', result.out)
  end)

  it("may end after so many", function()
    local result = with_server [[
      (sleep 0.3; "$PUMPSH" -u "$url" publish news t3 >/dev/null) &
      "$PUMPSH" -u "$url" read news --follow --from 1 --count 3 | grep -o '"type":"[^"]*"']]
    assert.equal('"type":"t1"\n"type":"t2"\n"type":"t3"\n', result.out)
    support.fails(1, "read: %-%-follow goes forward and on, without %-%-backward",
      run { "-q", "read", "news", "--follow", "--backward" })
  end)

  it("takes $all, from the very event that is there", function()
    local result = with_server [[
      at=$("$PUMPSH" -u "$url" read '$all' | grep '"type":"t2"' |
        sed 's/.*"commit":\([0-9]*\).*/\1/')
      "$PUMPSH" -u "$url" tail '$all' --from $at | head -1 | grep -o '"type":"t."'
      "$PUMPSH" -u "$url" tail '$all' --from 0 | head -1 >"$SCRATCH.first"
      "$PUMPSH" -u "$url" read '$all' --count 1 | cmp "$SCRATCH.first" - && echo same
      rm "$SCRATCH.first"]]
    assert.equal('"type":"t2"\nsame\n', result.out)
  end)

  it("ends quietly with who reads it, though nothing comes", function()
    local result = with_server [[
      { "$PUMPSH" -u "$url" tail news --from 0; echo "status $?" >&2; } | head -1 | wc -l]]
    assert.equal("1\n", result.out)
    assert.equal("status 0\n", result.err)
  end)

  it("shows a line for each event where people look", function()
    local result = with_server [[
      "$PUMPSH" -u "$url" --format table tail news --from 0 | head -3]]
    assert.matches("^news@0  t0  %d%d:%d%d:%d%d\nnews@1 ", result.out)
  end)

  it("says in one line what it cannot begin", function()
    local result = with_server [[
      kill $server; wait $server
      "$PUMPSH" -u "$url" tail news 2>&1; echo "status $?"]]
    assert.matches("^pumpsh: connect_failed: .*\nstatus 2\n$", result.out)
  end)

  it("says that the connection is lost", function()
    local result = with_server [[
      "$PUMPSH" -u "$url" tail news --from 0 >"$SCRATCH.out" 2>"$SCRATCH.err" & tail=$!
      wait_for t2 "$SCRATCH.out"
      kill $server; wait_for lost "$SCRATCH.err"
      kill -INT $tail; wait $tail; echo "status $?"; cat "$SCRATCH.err"
      rm "$SCRATCH.out" "$SCRATCH.err"]]
    assert.matches("^status 130\npumpsh: connection lost: .*; connecting again\n$", result.out)
  end)

  it("wants a stream", function()
    local result = run { "tail" }
    assert.matches("^pumpsh: tail: STREAM is missing %(pumpsh tail STREAM %[%-%-from N%]%)\n$",
      result.err)
    assert.equal(1, result.status)
  end)
end)

terminal.describe(describe, pending)("tail in a terminal", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  local function open()
    terminal.open()
    ends(prompt)
  end

  it("shows what comes above the prompt, of several streams, until it is told", function()
    open()
    line "\\tail ponies"
    line "\\tail $all --from 0"
    line '\\publish ponies PonyJumped {"Height": 10}'
    look(function(view)
      return select(2, view:gsub('\nponies@0 +PonyJumped +%d%d:%d%d:%d%d  {"Height":10}', "")) == 2
    end)
    assert.matches("$all  live at %d+\nponies  live at 0\n", line "\\tails")
    assert.matches("\nponies is followed already; ", line "\\tail ponies")
    line "\\untail $all"
    line "\\publish ponies PonyLanded"
    look(function(view)
      return select(2, view:gsub("\nponies@1 +PonyLanded +%d%d:", "")) == 1
    end)
    line "\\untail"
    assert.matches("nothing is followed", line "\\untail")
    assert.matches("untail: ponies is not followed", line "\\untail ponies")
  end)

  it("ends on Ctrl-C where nothing is typed, and goes on where something is", function()
    open()
    line "\\tail ponies"
    typed "half"
    key "C-c"
    shows "half^C"
    line "\\publish ponies Stays"
    shows "ponies@0"
    key "C-c"
    shows "followed no more"
    line "\\publish ponies Unseen"
    assert.matches("nothing is followed", line "\\untail")
    assert.is_nil(terminal.screen():find("ponies@1  Unseen  ", 1, true))
  end)

  it("ends when one goes elsewhere", function()
    open()
    line "\\tail ponies"
    line "\\connect memory:"
    shows "what was followed there is followed no more"
    assert.matches("nothing is followed", line "\\untail")
  end)
end)

-- pumpsh in a terminal that takes 2 MB a second, where an event of 10 MB comes. When it begins to
-- be shown a key is pressed, then Ctrl-C, for the key, and once more, for the tail, which went on.
-- Tells how much of the event came between the key and its echo, and behind the last Ctrl-C; and
-- that a line works then.
local on_slow_terminal = [==[
  perl -MPOSIX=setsid -MFcntl -e '
    sysopen(T, "/dev/ptmx", O_RDWR | O_NOCTTY) or die; $number = pack "i", 0;
    ioctl(T, 0x40045431, $number) or die; ioctl(T, 0x80045430, $number) or die;
    unless ($pid = fork) {
      setsid; sysopen(S, "/dev/pts/" . unpack("i", $number), O_RDWR) or die;
      open STDIN, "<&S"; open STDOUT, ">&S"; open STDERR, ">&S"; exec @ARGV;
    }
    sub await { my ($wanted) = @_;
      while ($got !~ $wanted) {
        select undef, undef, undef, 0.001;
        sysread(T, $got, 2048, length $got) or die "no $wanted in " . substr $got, -300;
      }
      $got =~ $wanted; $shown += $` =~ tr/x//; $got = substr $got, $+[0];
    }
    sub enter { syswrite T, "$_[0]\r"; await qr/\n.*memory:> /s }
    await qr/memory:> /;
    enter "\\format $ENV{FORMAT}"; enter "\\tail s";
    enter "pump.spawn(function() pump.sleep(0.3) publish_body() end)";
    await qr/xxxx/; syswrite T, "q";
    $shown = 0; await qr/q/; print "$shown\n";
    syswrite T, "\3"; await qr/\^C/; await qr/x{80}/;
    syswrite T, "\3"; $shown = 0; await qr/no more/; print "$shown\n";
    await qr/memory:> /; syswrite T, "6 * 7\r"; await qr/\n.*42/; print "the end\n";
    kill 15, $pid; waitpid $pid, 0' "$PUMPSH" -q -i -e '
      function publish_body()
        local body = pump.json.encode { list = { 1, 2 }, text = ("x"):rep(1e7) }
        conn:publish_event("s", "T", body, { content_type = "json" })
      end']==]

describe("what is large, above the prompt,", function()
  teardown(support.clean)

  for _, editor in ipairs { "own", "readline" } do
    for _, name in ipairs { "jsonl", "json", "raw" } do
      it("leaves keys and Ctrl-C their turn: " .. name .. ", " .. editor, function()
        local result = run({}, { shell = on_slow_terminal, env = { "FORMAT=" .. name,
          "PUMPSH_EDITOR=" .. editor, "TERM=xterm", "HOME=/dev/null" } })
        assert.equal("", result.err)
        local echo, stop = result.out:match("^(%d+)\n(%d+)\nthe end\n$")
        -- A tenth of a second of it, and what the terminal's buffers hold.
        local most = 2e5 + 2e5 * support.slow
        assert.is_true(tonumber(echo) < most, echo)
        assert.is_true(tonumber(stop) < most, stop)
      end)
    end
  end
end)

terminal.describe(describe, pending)("the prompt", function()
  local server

  setup(terminal.setup)
  teardown(support.clean)
  after_each(function()
    terminal.close()
    if server then server.stop() end
    server = nil
  end)

  it("tells where one is", function()
    terminal.open("-q -u tcp://derpy:muffins@127.0.0.1")
    ends "pump 127.0.0.1:1113>"
    typed "\\connect memory:"
    key "Enter"
    ends(prompt)
  end)

  it("tells that the connection is lost, and there again, beside what is typed", function()
    local store = "file:" .. support.path(".db")
    server = support.serve(store)
    local address = server.address
    terminal.open("-q -u " .. server.url)
    ends("pump " .. address .. ">")
    typed "\\tail ponies"
    key "Enter"
    ends("pump " .. address .. ">")
    typed "1 +"
    server.stop()
    ends "pump (reconnecting)> 1 +"
    shows "connection lost: "
    server = support.serve(store, address)
    ends("pump " .. address .. "> 1 +")
    support.run { "-u", server.url, "publish", "ponies", "PonyJumped" }
    shows "ponies@0"
    ends("pump " .. address .. "> 1 +")
    typed "1"
    key "Enter"
    shows "\n2\n"
  end)
end)

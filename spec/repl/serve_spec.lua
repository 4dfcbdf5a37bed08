-- pumpsh serve: the embedded store as a server for others.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local run, fails = support.run, support.fails

teardown(support.clean)

describe("serve", function()
  it("listens until it is told to end", function()
    for _, signal in ipairs { "TERM", "INT" } do
      local result = run({}, { shell = [[
        "$PUMPSH" -q serve --listen 127.0.0.1:0 >"$SCRATCH.url" & server=$!
        while [ ! -s "$SCRATCH.url" ]; do sleep 0.05; done
        PUMP_PASSWORD=changeit "$PUMPSH" -u "$(cat "$SCRATCH.url")" --user admin publish s T 1
        kill -]] .. signal .. [[ $server; wait $server; echo "status $?"; rm "$SCRATCH.url"]] })
      assert.matches('"first_event_number":0.*\nstatus 0\n$', result.out)
      assert.equal("", result.err)
    end
  end)

  it("has HTTP beside, and faults for admins", function()
    local result = run({}, { shell = [[
      "$PUMPSH" -q serve --listen 127.0.0.1:0 --http 127.0.0.1:0 --faults \
        >"$SCRATCH.url" & server=$!
      until grep -q http "$SCRATCH.url" 2>/dev/null; do sleep 0.05; done
      unset LD_PRELOAD
      http=$(sed -n 2p "$SCRATCH.url")
      curl -s "$http/info" | tr -d ' \n'
      curl -s -u admin:changeit -d '{"not_handled": "not_leader"}' "$http/faults"
      "$PUMPSH" -q -u "$(head -n 1 "$SCRATCH.url")" publish s T 1
      kill $server; wait $server; echo "status $?"; rm "$SCRATCH.url"]] })
    assert.matches('^{"esVersion":"5.0.8.0",.*}{"not_handled": "not_leader"}status 0\n$',
      result.out)
    assert.matches("not_leader", result.err)
  end)

  it("speaks TLS with a certificate", function()
    local result = run({}, { shell = [[
      folder=$(mktemp -d) && sh spec/certificates.sh "$folder" || exit
      "$PUMPSH" -q serve --listen 127.0.0.1:0 --tls-cert "$folder/good.pem" \
        --tls-key "$folder/good.key" >"$folder/url" & server=$!
      while [ ! -s "$folder/url" ]; do sleep 0.05; done
      "$PUMPSH" -q -u "$(cat "$folder/url")?ca=$folder/ca.pem" publish s T 1
      "$PUMPSH" -q -u "$(cat "$folder/url")" publish s T 1
      echo "status $?"
      kill $server; wait $server
      rm -r "$folder"]] })
    assert.matches('^{"stream":"s".*}\nstatus 2\n$', result.out)
    assert.matches("signed by an unknown authority", result.err)
    assert.equal(1, support.lines(result.err))
  end)

  -- What a server that ends at once says of the store that it had.
  local function served(words)
    return run({}, { shell = [[
      "$PUMPSH" ]] .. words .. [[ --listen 127.0.0.1:0 >"$SCRATCH.url" 2>"$SCRATCH.err" & server=$!
      for i in $(seq 100); do [ -s "$SCRATCH.url" ] && break; sleep 0.05; done
      sed -n 's/.*pumpsh: \(.*\) listens.*/\1/p' "$SCRATCH.err"
      kill $server; wait $server; rm "$SCRATCH.url" "$SCRATCH.err"]] })
  end

  it("takes a store's options, and the store of -u", function()
    local path = support.path(".db")
    assert.equal("file:" .. path .. "\n", served("serve 'file:" .. path .. "?sync=normal'").out)
    support.read_file(path)
    assert.is_nil(io.open(path .. "?sync=normal"))
    assert.equal("memory:\n", served("serve 'memory:?like=23.10'").out)
    assert.equal("file:" .. path .. "\n", served("-u file:" .. path .. " serve").out)
    assert.equal("memory:\n", served("-u tcp://127.0.0.1:1 serve").out)
  end)

  it("says why it cannot", function()
    fails(1, "a store has no option timeout", run { "serve", "memory:?timeout=1" })
    fails(1, "the path is missing", run { "serve", "file:" })
    fails(1, "sync is normal or full", run { "serve", "memory:?sync=never" })
    fails(1, "say %-%-tls%-cert and %-%-tls%-key", run { "serve", "--tls-key", "x" })
    fails(1, 'serve: the store is memory: or file:PATH, not "x"', run { "serve", "x" })
    fails(1, "say %-%-http HOST:PORT, too", run { "serve", "--faults" })
    fails(1, "%-%-like is one of 4.1, 5.0, 23.10", run { "serve", "--like", "4" })
    fails(2, "", run { "serve", "file:/nonexistent/x.db" })
    local open = run { "serve", "--listen", "0.0.0.0:0" }
    assert.not_equal(0, open.status)
    assert.equal(1, support.lines(open.err))
  end)
end)

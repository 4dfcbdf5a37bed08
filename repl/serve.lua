-- pumpsh serve: the embedded store as a server for other programs.

local system = require "repl.system"
local text = require "repl.text"
local core = require "pump.core"
local pump = require "pump"

local function refuse(message, ...)
  error(string.format(message, ...), 0)
end

-- What is served, as a URL says it: what stands behind serve, else -u where that is a store.
local function store_of(given)
  local place = given.STORE
  local store, why = core.parse_url(place or given.url or "memory:")
  if not place and not (store and (store.kind == "memory" or store.kind == "file")) then
    place = "memory:"
    store = core.parse_url(place)
  end
  if not store or store.kind ~= "memory" and store.kind ~= "file" then
    refuse("serve: the store is memory: or file:PATH, not \"%s\"%s", text.safe(place),
      store == nil and place:find("^file:") and " (" .. why .. ")" or "")
  end
  for name in pairs(store.options) do
    if name ~= "like" and name ~= "sync" then refuse("serve: a store has no option %s", name) end
  end
  return store, (place or given.url or "memory:"):gsub("%?.*", "")
end

return function(session, given)
  local store, place = store_of(given)
  local cert, key = given["tls-cert"], given["tls-key"]
  if (cert == nil) ~= (key == nil) then
    refuse("serve: a certificate and its key belong together: say --tls-cert and --tls-key")
  end
  system.allow_files()
  if given.faults and not given.http then
    refuse("serve: faults are set over HTTP: say --http HOST:PORT, too")
  end
  local users = session.password and { [session.username or "admin"] = session.password } or nil
  local node, err = pump.node {
    file = store.path, listen = given.listen or "127.0.0.1:1113",
    like = given.like or store.options.like, sync = store.options.sync,
    insecure_listen = given["insecure-listen"], users = users,
    http = given.http, faults = given.faults, tls = cert and { cert = cert, key = key },
  }
  if not node then
    err.message = err.message:gsub("insecure_listen", "--insecure-listen")
      :gsub("Address already in use$", "%0; --listen and --http take others, with port 0 any")
    error(err, 0)
  end
  local scheme = cert and "tcps://" or "tcp://"
  local closing <close> = setmetatable({}, { __close = function() node:close() end })
  session.out:write(scheme .. tostring(node.address) .. "\n")
  if node.http_address then
    session.out:write((cert and "https://" or "http://") .. node.http_address .. "\n")
  end
  if not session.quiet then
    session.out:note(string.format("pumpsh: %s listens at %s%s; Ctrl-C ends it", place, scheme,
      node.address))
  end
  pump.sleep(math.huge)
  return closing
end

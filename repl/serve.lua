-- pumpsh serve: the embedded store as a server for other programs.

local system = require "repl.system"
local text = require "repl.text"
local pump = require "pump"

local function refuse(message, ...)
  error(string.format(message, ...), 0)
end

return function(session, given)
  local place = given.STORE or "memory:"
  local file = place:match("^file:(.+)$")
  if not file and place ~= "memory:" then
    refuse("serve: the store is memory: or file:PATH, not \"%s\"", text.safe(place))
  end
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
    file = file, listen = given.listen or "127.0.0.1:1113", like = given.like,
    insecure_listen = given["insecure-listen"], users = users,
    http = given.http, faults = given.faults, tls = cert and { cert = cert, key = key },
  }
  if not node then
    err.message = err.message:gsub("insecure_listen", "--insecure-listen")
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

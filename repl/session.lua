-- What one run of pumpsh is about: the connection, how results are shown, the settings.

local follow = require "repl.follow"
local format = require "repl.format"
local names = require "repl.names"
local pretty = require "repl.pretty"
local status = require "repl.status"
local text = require "repl.text"
local record = require "repl.record"
local core = require "pump.core"
local pump = require "pump"

local session = {}
session.__index = session

-- options: url, is_default (nobody chose that url), username, password, timeout, format, quiet,
-- out
function session.new(options)
  return setmetatable({
    url = options.url, is_default = options.is_default, quiet = options.quiet,
    username = options.username, password = options.password, timeout = options.timeout,
    first_url = options.url,
    format = options.format, out = options.out,
    expanded = false, timing = false, settings = { pager = "on", traceback = "off" },
    tails = {}, -- what goes on above the prompt, by name: see repl/follow.lua
    shown = { last = 0 }, -- what may be acked: see repl/consume.lua
  }, session)
end

-- Who a URL says that we are, and by which password; nil where it does not.
function session.user_of(url)
  local parsed = url and core.parse_url(url)
  if not parsed then return nil, nil end
  return parsed.options.username or parsed.username, parsed.options.password or parsed.password
end

-- The command line says who we are, but to a URL of \connect that does so itself.
local function credentials(self)
  if self.url ~= self.first_url and session.user_of(self.url) then return nil, nil end
  return self.username, self.password
end

-- A task that connects. It goes on when nobody waits for it any more: the next who wants a
-- connection is the one who gets it.
local function attempt(self)
  return pump.spawn(function()
    local this = self.attempt
    local username, password = credentials(self)
    local ok, made, err = pcall(pump.connect, self.url, {
      username = username, password = password,
      timeout = self.timeout, connect_timeout = self.timeout,
    })
    if not ok then made, err = nil, made end
    if self.attempt ~= this then -- one went elsewhere meanwhile
      if made then made:close() end
      return nil, err
    end
    self.attempt, self.conn = nil, made
    if made then
      made.on_disconnected:append(function(why)
        if self.out.interactive then self.out:error("connection lost: " .. status.line(why)) end
      end)
    end
    return made, err
  end)
end

-- The connection, made when it is first asked for; raises what the attempt ended with.
function session:connection()
  local conn = self.conn
  if conn and conn.state ~= "closed" then return conn end
  self.conn = nil
  if self.is_default and not self.quiet then
    self.out:note("pumpsh: no -u URL and no PUMP_URL: this is memory:, and gone in the end")
  end
  self.is_default = nil
  if not self.attempt or self.attempt.status == "cancelled" then self.attempt = attempt(self) end
  local made, err = self.attempt:join()
  if not made then error(err, 0) end
  return made
end

-- Goes elsewhere; stays where it is when that fails.
function session:connect(url)
  local before, old_url = self.conn, self.url
  self.conn, self.attempt, self.url = nil, nil, url
  local ok, err = pcall(self.connection, self)
  if not ok then
    self.conn, self.attempt, self.url = before, nil, old_url
    error(err, 0)
  end
  names.forget()
  if not before then return end
  if follow.stop(self) > 0 then self.out:note("what was followed there is followed no more") end
  before:close()
end

function session:close()
  follow.stop(self)
  if self.conn then self.conn:close() end
  self.conn, self.attempt = nil, nil
end

session.__close = session.close

-- A URL without its secrets.
session.public_url = core.redact

-- Where we are, for the prompt.
function session:place()
  local conn, url = self.conn, self.public_url(self.url)
  if conn and conn.state == "reconnecting" then return "(reconnecting)" end
  local scheme, host = url:match("^(%a+)://([^/?]*)")
  if host then
    if conn and conn.state == "connected" then return conn.endpoint end
    host = host:gsub("^.*@", "")
    return (host:find(":%d+$") or not scheme:find("^tcp")) and host or host .. ":1113"
  end
  return #url > 40 and url:gsub("^(%w+:).*(/[^/]+)$", "%1…%2") or url
end

local function is_event(value)
  local meta = debug.getmetatable(value)
  return type(value) ~= "string" and type(meta) == "table" and meta.__name == "pump.event"
end

-- Whether what is taller than the screen goes through the pager.
function session:pages()
  return self.settings.pager == "on" and not self.watching
end

function session:events(options)
  options = options or {}
  local writer = format.events(self.out, {
    format = self.format, expanded = options.expanded or self.expanded,
    with_stream = options.with_stream, live = options.live,
  })
  if self.out.interactive then
    local add = writer.add
    function writer.add(of, event, label)
      names.see(event)
      add(of, event, label)
    end
  end
  return writer
end

-- A value that a line of Lua gave.
function session:show(value)
  local events = is_event(value) and { value }
    or type(value) == "table" and is_event(rawget(value, 1)) and value
  if not events then
    return self.out:write(pretty.value(value, math.min(self.out:width(), 100),
      self.out:painter()) .. "\n")
  end
  local writer = self:events { expanded = #events == 1 }
  for _, event in ipairs(events) do writer:add(event) end
  writer:finish()
end

-- The values of a line of Lua. nil and an error is the error.
function session:echo(values)
  if values.n >= 2 and values[1] == nil and type(values[2]) ~= "string" and values[2] ~= nil then
    error(values[2], 0)
  end
  for i = 1, values.n do self:show(values[i]) end
end

-- How long a line took, where that is wanted.
function session:tell_time(seconds)
  if self.timing then self.out:note("(" .. text.duration(seconds) .. ")") end
end

-- One answer that is no event, as repl/record.lua tells.
function session:record(members, sentence)
  record.write(self.out, self.format, members, sentence)
end

-- The same for rows of them: add(members), then finish().
function session:rows()
  return record.rows(self.out, self.format)
end

return session

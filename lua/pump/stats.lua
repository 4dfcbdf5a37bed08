-- What connections have counted, and the same as Prometheus reads it.
local core = require "pump.core"
local errors = require "pump.error"
local request = require "pump.request"

local M = {}

-- What was counted since the connection was made, or until it was closed.
function M.stats(conn)
  request.check_self(conn, "stats")
  return conn.last_stats or core.stats(conn.core)
end

local counters = {
  { "bytes_in", "counter", "Bytes that came, before TLS" },
  { "bytes_out", "counter", "Bytes that were sent, before TLS" },
  { "frames_in", "counter", "Frames that came" },
  { "frames_out", "counter", "Frames that were sent" },
  { "requests", "counter", "Requests that were answered or failed" },
  { "failures", "counter", "Requests that failed" },
  { "retries", "counter", "Times that a request was asked again" },
  { "connections", "counter", "Connections that were established" },
  { "reconnects", "counter", "Connections that were established after one was lost" },
  { "in_flight", "gauge", "Requests that were asked and not answered" },
  { "waiting", "gauge", "Requests that were not asked yet" },
}

local function escaped(text)
  return (text:gsub("[\\\"\n]", { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function put_head(lines, name, kind, help)
  lines[#lines + 1] = ("# HELP %s %s."):format(name, help)
  lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
end

local function put_latency(lines, all)
  local name = "pump_request_seconds"
  put_head(lines, name, "histogram", "Time from asking to answer")
  local function put(what, value) lines[#lines + 1] = ("%s_%s %s"):format(name, what, value) end
  for _, one in ipairs(all) do
    local latency = one.stats.latency
    for _, bucket in ipairs(latency.buckets) do
      put(('bucket{connection="%s",le="%g"}'):format(one.label, bucket.seconds), bucket.count)
    end
    put(('bucket{connection="%s",le="+Inf"}'):format(one.label), latency.count)
    put(('sum{connection="%s"}'):format(one.label), ("%.9g"):format(latency.sum))
    put(('count{connection="%s"}'):format(one.label), latency.count)
  end
end

-- Prometheus's text form of the counters of connections. Each is labelled by its name, or by its
-- place among the arguments.
function M.metrics(...)
  local all, lines = {}, {}
  for i = 1, select("#", ...) do
    local conn = (select(i, ...))
    if getmetatable(conn) ~= request.connection_class then
      errors.misuse("bad argument #%d to 'metrics' (a connection expected, got %s)", i, type(conn))
    end
    all[i] = { label = escaped(conn.settings.name or tostring(i)), stats = conn:stats() }
  end
  for _, counter in ipairs(counters) do
    local field, kind, help = table.unpack(counter)
    local name = "pump_" .. field .. (kind == "counter" and "_total" or "")
    put_head(lines, name, kind, help)
    for _, one in ipairs(all) do
      lines[#lines + 1] = ('%s{connection="%s"} %d'):format(name, one.label, one.stats[field])
    end
  end
  put_latency(lines, all)
  return table.concat(lines, "\n") .. "\n"
end

return M

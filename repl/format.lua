-- Events in the four formats: table (for people), json, jsonl, raw.
--
-- In JSON an event has the keys stream, type, id, event_number, data, metadata, created (seconds
-- since 1970), is_json and position. A body that is JSON stands there as it was written; other
-- bodies stand as data_base64 instead of data, and an empty one is null (the JSON text `null` is
-- told from it by is_json). Metadata alike: the JSON itself, or metadata_base64, or null when
-- there is none.

local base64 = require "repl.base64"
local columns = require "repl.columns"
local json_text = require "repl.json_text"
local text = require "repl.text"
local json = require("pump").json

local format = {}

format.names = { "table", "json", "jsonl", "raw" }

local function quote(s)
  return (json.encode(utf8.len(s) and s or text.safe(s)))
end

-- Bytes as a member. An exact one gives the very same bytes back when it is imported: JSON that
-- would not survive standing in a line is put in Base64.
local function body(name, bytes, is_json, exact)
  local null_is_empty = not (is_json and name == "data")
  if bytes == "" and null_is_empty then return string.format('"%s":null', name) end
  local fits = is_json ~= false and bytes ~= "" and json_text.is_json(bytes)
    and not (null_is_empty and bytes == "null")
  if fits and exact then fits = json_text.line(bytes) == bytes and not bytes:find("^%s") and
    not bytes:find("%s", #bytes) end
  if not fits then return '"' .. name .. '_base64":"' .. base64.encode(bytes) .. '"' end
  return '"' .. name .. '":' .. json_text.line(bytes)
end

local function position(of)
  if not of or (of.commit or -1) < 0 then return "null" end
  return string.format('{"commit":%d,"prepare":%d}', of.commit, of.prepare)
end

-- One event as one line of JSON, without the line's end. Its bodies may be long, and format copies
-- them bit by bit.
local function event_json(event, exact)
  local is_json = event.is_json or false
  local data = body("data", event.data or "", is_json, exact)
  local metadata = body("metadata", event.metadata or "", nil, exact)
  local head = string.format('{"stream":%s,"type":%s,"id":%s,"event_number":%d,',
    quote(event.stream or ""), quote(event.type or ""), quote(event.id or ""), event.event_number)
  return head .. data .. "," .. metadata .. string.format(
    ',"created":%.6f,"is_json":%s,"position":%s}', event.created or 0, is_json,
    position(event.position))
end

local function time_text(seconds)
  if not seconds then return "" end
  return os.date("%Y-%m-%d %H:%M:%S", math.floor(seconds))
end

local long = 65536

-- A body in a cell: one line.
local function brief(bytes, is_json)
  if bytes == "" then return "" end
  if #bytes > long then
    local start = bytes:sub(1, 1024):gsub("[\x80-\xff]*$", "")
    if not text.is_text(start) then return text.hex(bytes) end
    return string.format("(%s bytes) %s…", text.count(#bytes), text.safe((start:gsub("%s+", " "))))
  end
  if is_json ~= false and json_text.is_json(bytes) then
    return json_text.safe(json_text.compact(bytes))
  end
  if text.is_text(bytes) then return text.safe(bytes) end
  return text.hex(bytes)
end

local label_width = 10

-- One event as a block of lines; a body that is long stays brief among those that come live.
local function write_block(out, event, is_live)
  local paint = out:painter()
  local margin = "\n" .. string.rep(" ", label_width)
  local width = math.max(0, math.min(out:width(), 100) - label_width)
  local function add(name, value)
    if value == "" then return end
    out:write(paint(text.pad(name, label_width), "dim"))
    for slice in text.slices(value) do out:write((slice:gsub("\n", margin))) end
    out:write "\n"
  end
  -- A body has as many lines as it needs.
  local function add_body(name, bytes, is_json)
    if is_live and #bytes > long then return add(name, brief(bytes, is_json)) end
    if bytes ~= "" and is_json ~= false and json_text.is_json(bytes) then
      out:write(paint(text.pad(name, label_width), "dim"))
      json_text.write(out, bytes, width, label_width)
      return out:write "\n"
    end
    add(name, text.is_text(bytes) and text.safe(bytes, true) or paint(text.hex(bytes, 64), "dim"))
  end
  out:write(paint(text.safe(string.format("%s@%d %s", event.stream or "", event.event_number,
    event.type or "(its event is gone)")), "title") .. "\n")
  add("id", text.safe(event.id or ""))
  add("created", time_text(event.created))
  local at = event.position
  if at and (at.commit or -1) >= 0 then add("position", string.format("%d", at.commit)) end
  add_body("data", event.data or "", event.is_json)
  add_body("metadata", event.metadata or "", nil)
end

local function row_of(event, with_stream)
  local row = { tostring(event.event_number), text.safe(event.type or ""),
    time_text(event.created), brief(event.data or "", event.is_json) }
  if with_stream then table.insert(row, 2, text.safe(event.stream or "")) end
  return row
end

local function table_writer(out, with_stream)
  local head = { "number", "type", "created", "data" }
  if with_stream then table.insert(head, 2, "stream") end
  local rows = columns.writer(out, head, 1)
  return {
    add = function(_, event) rows:add(row_of(event, with_stream)) end,
    -- What is there is shown, whatever may follow.
    settle = rows.settle,
    finish = rows.settle,
  }
end

local live_widths = { 0, 0, 0 } -- of all that is followed: its lines stand among each other

-- An event in one line without a head, as it comes: of several streams, perhaps.
local function live_line(event, width, label)
  local row = {
    label .. text.safe(string.format("%s@%d", event.stream or "", event.event_number)),
    text.safe(event.type or ""), os.date("%H:%M:%S", math.floor(event.created or 0)),
    brief(event.data or "", event.is_json),
  }
  columns.widen(live_widths, row)
  return columns.line(row, live_widths, width) .. "\n"
end

local function plain_writer(add)
  return {
    add = function(_, event, label) add(event, label) end,
    settle = function() end,
    finish = function() end,
  }
end

local function on_terminal(out, s)
  return out:is_terminal() and json_text.safe(s) or s
end

-- An object over several lines.
local function write_laid_out(out, event)
  json_text.write(out, event_json(event), 80)
end

local function array_writer(out)
  local opened = false
  return {
    add = function(_, event)
      out:write(opened and ",\n" or "[\n")
      opened = true
      write_laid_out(out, event)
    end,
    settle = function() end,
    finish = function() out:write(opened and "\n]\n" or "[]\n") end,
  }
end

-- Takes events one by one: add(event), then finish(). options: format, expanded (blocks instead
-- of a table), with_stream (a column for the stream), live (there is no last one: each is shown as
-- it comes, as lines instead of a table, and with a second argument of add before them), exact.
function format.events(out, options)
  local name = options.format
  if name == "jsonl" then
    return plain_writer(function(event)
      out:write(on_terminal(out, event_json(event, options.exact)) .. "\n")
    end)
  elseif name == "json" and options.live then
    return plain_writer(function(event)
      write_laid_out(out, event)
      out:write "\n"
    end)
  elseif name == "json" then
    return array_writer(out)
  elseif name == "raw" then
    return plain_writer(function(event)
      local data = event.data or ""
      if out:is_terminal() then
        data = utf8.len(data) and text.safe(data, true) or text.hex(data, 64)
      end
      out:write(data .. "\n")
    end)
  elseif options.expanded then
    return plain_writer(function(event) write_block(out, event, options.live) end)
  elseif options.live then
    return plain_writer(function(event, label)
      out:write(live_line(event, out:width(), label or ""))
    end)
  end
  return table_writer(out, options.with_stream)
end

return format

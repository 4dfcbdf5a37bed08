-- Answers that are no events, in the four formats: one record, or rows of them.
--
-- A member is { name, value }; with { name, value, json = true } the value is JSON text.

local columns = require "repl.columns"
local json_text = require "repl.json_text"
local text = require "repl.text"
local json = require("pump").json

local record = {}

local function quoted(value)
  return (json.encode(utf8.len(value) and value or text.safe(value)))
end

local function json_of(members)
  local pieces = {}
  for i, member in ipairs(members) do
    local value = member[2]
    if value == nil then value = "null"
    elseif member.json then value = json_text.line(value)
    elseif type(value) == "string" then value = quoted(value)
    else value = json.encode(value) end
    pieces[i] = quoted(member[1]) .. ":" .. value
  end
  return "{" .. table.concat(pieces, ",") .. "}"
end

-- As JSON on one line.
local function write_line(out, members)
  local line = json_of(members)
  out:write((out:is_terminal() and json_text.safe(line) or line) .. "\n")
end

local function plain(value)
  if type(value) == "table" then return json.encode(value) end
  return value == nil and "" or tostring(value)
end

local function write_member(out, member, margin)
  local value = member[2]
  out:write(out:painter()(text.pad(member[1], margin), "dim"))
  if member.json then
    json_text.write(out, value, math.max(0, math.min(out:width(), 100) - margin), margin)
  else
    out:write(text.safe(plain(value)))
  end
  out:write "\n"
end

-- One answer. sentence is what people read instead of it (a table of the members, if it is nil).
function record.write(out, name, members, sentence)
  if name == "json" then
    json_text.write(out, json_of(members), 80)
    out:write "\n"
  elseif name == "jsonl" then
    write_line(out, members)
  elseif name == "raw" then
    for _, member in ipairs(members) do
      local value = plain(member[2])
      out:write((out:is_terminal() and text.safe(value, true) or value) .. "\n")
    end
  elseif sentence then
    out:print(sentence)
  else
    local widest = 0
    for _, member in ipairs(members) do widest = math.max(widest, #member[1]) end
    for _, member in ipairs(members) do write_member(out, member, widest + 2) end
  end
end

local function table_writer(out)
  local rows
  return {
    add = function(_, members)
      local row, head = {}, {}
      for i, member in ipairs(members) do
        row[i], head[i] = text.safe(plain(member[2])), member[1]
      end
      local is_number = math.type(members[1][2])
      rows = rows or columns.writer(out, head, is_number and 1 or nil)
      rows:add(row)
    end,
    finish = function()
      if rows then rows.settle() end
    end,
  }
end

local function array_writer(out)
  local opened = false
  return {
    add = function(_, members)
      out:write(opened and ",\n" or "[\n")
      opened = true
      json_text.write(out, json_of(members), 80)
    end,
    finish = function() out:write(opened and "\n]\n" or "[]\n") end,
  }
end

local function raw_line(members)
  local values = {}
  for i, member in ipairs(members) do values[i] = plain(member[2]) end
  return table.concat(values, "\t")
end

-- Takes records with the same members one by one: add(members), then finish().
function record.rows(out, name)
  if name == "table" then return table_writer(out) end
  if name == "json" then return array_writer(out) end
  return {
    add = function(_, members)
      if name == "jsonl" then return write_line(out, members) end
      local line = raw_line(members)
      out:write((out:is_terminal() and text.safe(line) or line) .. "\n")
    end,
    finish = function() end,
  }
end

return record

-- What is done to a stream as a whole: delete, get_metadata, set_metadata.
local core = require "pump.core"
local errors = require "pump.error"
local options = require "pump.options"
local publish = require "pump.publish"
local read = require "pump.read"
local request = require "pump.request"

local M = {}

local delete_options =
  options.list(options.call, { hard = "boolean", expected_version = "expected_version" })

-- Its events are gone; with hard = true so is its name, for ever.
function M.delete(conn, stream, given)
  request.check_stream(conn, stream, "delete")
  given = options.check(given, delete_options, "delete")
  local expected = request.expected_version(given.expected_version)
  local commit, prepare = request.call(conn, { stream = stream, expected = expected }, "delete",
    stream, expected, given.hard == true, request.call_arguments(conn, given))
  if not commit then return nil, prepare end
  return { position = { commit = commit, prepare = prepare } }
end

-- A stream's metadata is the last event of the stream with "$$" before its name.
local function metastream(stream)
  return "$$" .. stream
end

local is_absent = { stream_not_found = true, event_not_found = true }

-- Returns the metadata, its version and the event that it stands in; {} and -1 where there is none.
function M.get_metadata(conn, stream, given)
  request.check_stream(conn, stream, "get_metadata")
  given = options.check(given, options.call, "get_metadata")
  local event, err = read.get_event(conn, metastream(stream), "last", given)
  if event then
    local metadata
    metadata, err = event:json()
    if metadata == nil then return nil, err end
    return metadata, event.event_number, event
  end
  if is_absent[err.code] then return {}, core.NO_STREAM end
  err.stream = stream
  return nil, err
end

local set_options = options.list(options.call, { expected_version = "expected_version" })

-- Replaces all of it, by a table or JSON text. expected_version is the metadata's own.
function M.set_metadata(conn, stream, metadata, given)
  request.check_stream(conn, stream, "set_metadata")
  if type(metadata) ~= "table" and type(metadata) ~= "string" then
    errors.misuse("bad argument #2 to 'set_metadata' (a table or JSON text expected, got %s)",
      type(metadata))
  end
  given = options.list(options.check(given, set_options, "set_metadata"), { content_type = "json" })
  return publish.publish_event(conn, metastream(stream), "$metadata", metadata, given)
end

return M

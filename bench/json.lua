-- Encoding and decoding an event's body: json.lua pump|cjson encode|decode TIMES.
local codec = arg[1] == "pump" and require "pump".json or require "cjson"
local body = { pony = "Derpy Hooves", height = 10, distance = 123.25, airborne = true,
  place = "Ponyville, behind the post office",
  note = "Delivered the morning's letters, most of them to the right doors; the muffins came "
    .. "through the flight without a scratch, as they must" }
local text = codec.encode(body)
assert(#text == 256)
local f, value = codec[arg[2]], arg[2] == "encode" and body or text
local n = tonumber(arg[3])
for _ = 1, n // 10 do f(value) end
local cpu = os.clock()
for _ = 1, n do f(value) end
print(("events=%d cpu=%.9f wall=0"):format(n, os.clock() - cpu))

-- Writes the fuzzers' seeds into a folder that has the folders frame, gossip, json, message,
-- node, session, text and url: each body that was recorded once a length, behind its command; the
-- same bodies as frames; gossip as recorded; the corpus of JSON; some URLs; and small texts.
local folder = ...

local function write(path, ...)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(...))
end

local recordings = {
  "4.1.4/node", "4.1.4/persistent", "4.1.4/probe", "5.0.8/node", "5.0.8/photonpump",
  "5.0.8/semantics", "23.10.6/node", "23.10.6/semantics",
}
local seen, count, frames, bodies = {}, 0, {}, {}
for _, name in ipairs(recordings) do
  for line in io.lines("spec/recorded/" .. name .. ".jsonl") do
    for command, rest in line:gmatch('"cmd": "0x(%x%x)"([^{}]-"body": "%x*")') do
      local body = rest:match('"(%x*)"$'):gsub("%x%x", function(byte)
        return string.char(tonumber(byte, 16))
      end)
      command = string.char(tonumber(command, 16))
      local kind = command .. #body // 8
      if not seen[kind] and #body < 4096 and not rest:find('"size"') then
        seen[kind], count = true, count + 1
        write(("%s/message/%03d"):format(folder, count), command, body)
        bodies[#bodies + 1] = command .. body
        frames[#frames + 1] = string.pack("<s4", command .. "\0" .. ("\17"):rep(16) .. body)
      end
    end
  end
end
write(folder .. "/message/long_key", "\xc2\x0a\3\x8a\0\0")
for first = 1, #frames, 5 do
  local last = math.min(first + 4, #frames)
  write(("%s/frame/%03d"):format(folder, first), "\7", table.concat(frames, "", first, last))
end
write(folder .. "/frame/login", "\1", string.pack("<s4", "\xf2\1" .. ("\17"):rep(16) ..
  "\5admin\8changeit"))

-- Answers as the fuzzer of the session takes them, each for one of its conversations.
local whom = {
  ["\x04"] = 0, ["\x83"] = 1, ["\x8b"] = 2, ["\xb1"] = 3, ["\xb3"] = 4, ["\xb7"] = 5, ["\xc1"] = 6,
  ["\xc2"] = 6, ["\xc4"] = 6, ["\xc6"] = 7, ["\xc7"] = 7, ["\xc9"] = 8, ["\xcf"] = 9, ["\xcb"] = 10,
}
local answers = {}
for _, one in ipairs(bodies) do
  local number = whom[one:sub(1, 1)]
  if number then
    local body = one:sub(2)
    answers[#answers + 1] = one:sub(1, 1) .. string.char(number) .. string.pack("<s2", body)
  end
end
table.sort(answers, function(a, b) return a:sub(2, 2) .. a < b:sub(2, 2) .. b end)
for first = 1, #answers, 8 do
  local last = math.min(first + 15, #answers)
  write(("%s/session/%03d"):format(folder, first), table.concat(answers, "", first, last))
end

-- Questions as the node's fuzzer takes them, some behind each other so that they find something.
local row = {}
for line in io.lines("spec/recorded/5.0.8/semantics.jsonl") do
  local command, body = line:match('"sent": {"cmd": "0x(%x%x)", "body": "(%x*)"')
  if command then
    body = body:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
    local how = line:find('"auth"', 1, true) and 1 or 0
    row[#row + 1] = string.char(tonumber(command, 16), how) .. string.pack("<s2", body)
  end
end
for first = 1, #row, 10 do
  local last = math.min(first + 19, #row)
  write(("%s/node/%03d"):format(folder, first), table.concat(row, "", first, last))
end
-- A group from its creation to its deletion: of three events one is acknowledged, one parked, one
-- retried.
local function text(number, value)
  return string.pack("Bs1", number << 3 | 2, value)
end

local function varint(field, value)
  return string.char(field << 3, value)
end

local function ask(command, body)
  return string.char(command, 1) .. string.pack("<s2", body)
end

local ids, events = {}, ""
for i = 1, 3 do
  ids[i] = string.char(i):rep(16)
  events = events .. text(3, text(1, ids[i]) .. text(2, "t") .. varint(3, 0) .. varint(4, 0) ..
    text(5, "{}"))
end
local group = text(1, "g") .. text(2, "s") .. varint(5, 100) .. varint(8, 5) .. varint(9, 9) ..
  varint(10, 1) .. varint(13, 1)
write(folder .. "/node/group", table.concat {
  ask(0x82, text(1, "s") .. "\16" .. ("\xff"):rep(9) .. "\1" .. events), ask(0xc8, group),
  ask(0xc5, text(1, "g") .. text(2, "s") .. varint(3, 9)),
  ask(0xcc, text(1, "s::g") .. text(2, ids[1])),
  ask(0xcd, text(1, "s::g") .. text(2, ids[2]) .. text(3, "no") .. varint(4, 1)),
  ask(0xcd, text(1, "s::g") .. text(2, ids[3]) .. text(3, "no") .. varint(4, 2)),
  ask(0xce, group), ask(0xc5, text(1, "g") .. text(2, "s") .. varint(3, 9)), ask(0xc3, ""),
  ask(0xca, text(1, "g") .. text(2, "s")),
})
write(folder .. "/node/login", "\xf2\1\0\0\xf2\5\0\0\x03\0\2\0hi\xf5\0\5\0\8\1\18\1x")

for _, name in ipairs {
  "4.1.4/gossip-single", "5.0.8/gossip-cluster", "23.10.6/gossip-leader-down",
} do
  local file <close> = assert(io.open("spec/recorded/" .. name .. ".json"))
  write(folder .. "/gossip/" .. name:gsub("/", "-"), (file:read "a":gsub("\n%s*", "")))
end

local corpus = dofile "spec/json/corpus.lua"
for kind, cases in pairs(corpus) do
  for number, case in ipairs(cases) do
    if #case[1] < 4096 then write(("%s/json/%s%03d"):format(folder, kind, number), case[1]) end
  end
end
for number, url in ipairs {
  "tcp://admin:change%20it@10.0.0.5:1113/?name=a&tls=true", "tcps://[fe80::1%25eth0]:1113",
  "discover://a,b:5,c?timeout=3", "esdb+discover://u:p@h", "kurrentdb://h?tls=false",
  "memory:?like=23.10", "file:/tmp/x.db?sync=normal", "localhost:1113",
} do
  write(("%s/url/%03d"):format(folder, number), url)
end

-- As text_fuzz.c counts its readers.
local texts = {
  [0] = '{"esVersion":"5.0.8.0","state":"master"}', "{0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0}",
  "cHVtcA==", '{"version":"2","entries":[{"group":"g\\u0041","stream":"s","startFrom":-1,'
    .. '"namedConsumerStrategy":"Pinned","maxRetryCount":10,"bufferSize":500}],"updatedBy":"a"}',
  '{"not_handled":"not_leader","leader":"h:1","delay":0.5,"count":3,"only":"reads","chance":0.1}',
}
for number, one in pairs(texts) do
  write(("%s/text/%d"):format(folder, number), string.char(number), one)
end

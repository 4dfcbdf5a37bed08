-- Writes the fuzzers' seeds into a folder that has the folders frame, gossip, json, message,
-- node, session and url: each body that was recorded once a length, behind its command; the same
-- bodies as frames; gossip as recorded; the corpus of JSON; and some URLs.
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
    row[#row + 1] = string.char(tonumber(command, 16), 0) .. string.pack("<s2", body)
  end
end
for first = 1, #row, 10 do
  local last = math.min(first + 19, #row)
  write(("%s/node/%03d"):format(folder, first), table.concat(row, "", first, last))
end
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

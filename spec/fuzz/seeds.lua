-- Writes the fuzzers' seeds into a folder that has the folders frame and message: each body that
-- was recorded once a length, behind its command; and the same bodies as frames.
local folder = ...

local function write(path, ...)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(...))
end

local recordings = {
  "4.1.4/node", "4.1.4/probe", "5.0.8/node", "5.0.8/photonpump", "5.0.8/semantics",
  "23.10.6/node", "23.10.6/semantics",
}
local seen, count, frames = {}, 0, {}
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

-- Competing consumers: three workers share the jobs of a stream. A job that fails is tried again,
-- by whoever is free, and is put aside after two more times.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "jobs-" .. pump.uuid()
for number = 1, 12 do assert(conn:publish_event(stream, "Job", { number = number })) end
assert(conn:create_subscription("workers", stream, { from_event = "start", max_retry_count = 2 }))

local done, tries, workers = 0, 0, {}

local function work(job)
  pump.sleep(0.005)
  if job.number == 7 then error "there is no seventh job" end
  done = done + 1
end

local function worker()
  local sub <close> = assert(conn:connect_subscription("workers", stream, { buffer_size = 2 }))
  workers[#workers + 1] = sub
  for event in sub:events() do
    local ok, err = pcall(work, event:json())
    if ok then
      sub:ack(event)
    else
      tries = tries + 1
      sub:nack(event, "retry", tostring(err))
    end
    if done == 11 and tries == 3 then
      for _, each in ipairs(workers) do each:close() end
    end
  end
end

pump.run(function()
  for _ = 1, 3 do pump.spawn(worker) end
end)
print(done .. " jobs done, one tried " .. tries .. " times")

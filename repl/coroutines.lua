-- Coroutines tell which of them runs, so that an interrupt reaches it (repl/signals.c).

local signals = require "repl.signals"

local resume, enter, leave = coroutine.resume, signals.enter, signals.leave

local function resume_watched(co, ...)
  enter(co)
  return leave(resume(co, ...))
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  coroutine.close(co)
  error((...), 0)
end

local function wrap_watched(fn)
  local co = coroutine.create(fn)
  return function(...) return unwrap(co, resume_watched(co, ...)) end
end

rawset(coroutine, "resume", resume_watched)
rawset(coroutine, "wrap", wrap_watched)

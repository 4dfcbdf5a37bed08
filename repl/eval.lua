-- Lines of Lua: an expression or statements, finished or to be continued, with top-level locals
-- that live on.
--
-- A local of an earlier line is an upvalue of the later ones, the very same variable: a function
-- that was made on line one and line three share it. For that, a chunk that declares locals gets
-- a closure over them appended, and a chunk that names them is wrapped in a function whose
-- upvalues are joined to that closure's.

local eval = {}

local function skip_string(source, at, quote)
  at = at + 1
  while true do
    at = source:find("[\\" .. quote .. "]", at)
    if not at then return #source + 1 end
    if source:sub(at, at) == quote then return at + 1 end
    at = at + 2
  end
end

local function skip_long(source, at, level)
  local _, stop = source:find("]" .. level .. "]", at, true)
  return (stop or #source) + 1
end

-- The next token from `at` on: its text (strings and comments are nil) and the position behind.
local function token(source, at)
  at = source:match("^%s*()", at)
  local level, inside = source:match("^%-%-%[(=*)%[()", at)
  if not level then level, inside = source:match("^%[(=*)%[()", at) end
  if level then return nil, skip_long(source, inside, level) end
  if source:find("^%-%-", at) then return nil, source:match("^[^\n]*()", at) end
  local quote = source:match("^['\"]", at)
  if quote then return nil, skip_string(source, at, quote) end
  local word, stop = source:match("^([%a_][%w_]*)()", at)
  if not word then word, stop = source:match("^(%.?%d[%w.]*)()", at) end
  if not word then word, stop = source:match("^(.?)()", at) end
  return word, stop
end

local opens = { ["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1, ["end"] = -1,
  ["until"] = -1 }

-- Adds the names that the `local` before `at` declares.
local function declared(source, at, names)
  local word, stop = token(source, at)
  if word == "function" then word = token(source, stop) end
  while word and word:find("^[%a_]") do
    names[#names + 1] = word
    word, stop = token(source, stop)
    if word == "<" then word, stop = token(source, source:match("^[^>]*>?()", stop)) end
    if word ~= "," then return end
    word, stop = token(source, stop)
  end
end

-- The names of the locals that a chunk declares outside every block, and all names in it.
local function names_in(source)
  local locals, all, depth, at = {}, {}, 0, 1
  while at <= #source do
    local word, stop = token(source, at)
    if word == "local" and depth == 0 then
      local found = {}
      declared(source, stop, found)
      for _, name in ipairs(found) do
        if not locals[name] then
          locals[name] = true
          locals[#locals + 1] = name
        end
      end
    elseif word then
      depth = depth + (opens[word] or 0)
      all[word] = true
    end
    at = stop
  end
  return locals, all
end

local scope = {}
scope.__index = scope

-- A scope keeps the locals of the lines that ran in it. Globals are those of env.
function eval.scope(env)
  return setmetatable({ env = env, cells = {} }, scope)
end

function scope:load(source, name)
  return load(source, name, "t", self.env)
end

-- Wraps source so that it sees the kept locals it names, and keeps those that it declares.
local function wrapped(self, source, name, locals, all)
  local prefix, suffix = {}, ""
  for known in pairs(self.cells) do
    if all[known] then prefix[#prefix + 1] = known end
  end
  if #locals > 0 then
    local list = table.concat(locals, ", ")
    suffix = string.format("\nlocal function pumpsh_kept() return %s end "
      .. "pumpsh_keep(pumpsh_kept, %s)", list, list)
    prefix[#prefix + 1] = "pumpsh_keep"
  end
  local text = string.format("%s return function(...) %s%s\nend",
    #prefix > 0 and "local " .. table.concat(prefix, ", ") or "", source, suffix)
  local maker, err = self:load(text, name)
  if not maker then return nil, err end
  return maker()
end

local function cell_of(fn, name, value)
  for i = 1, math.huge do
    local upvalue = debug.getupvalue(fn, i)
    if not upvalue then break end
    if upvalue == name then return { fn = fn, index = i } end
  end
  return { fn = function() return value end, index = 1 } -- a constant, folded by the compiler
end

local function join(self, fn, locals)
  local function keep(kept, ...)
    for i, name in ipairs(locals) do self.cells[name] = cell_of(kept, name, (select(i, ...))) end
  end
  for i = 1, math.huge do
    local name = debug.getupvalue(fn, i)
    if not name then return fn end
    if name == "pumpsh_keep" then
      debug.upvaluejoin(fn, i, function() return keep end, 1)
    elseif self.cells[name] then
      debug.upvaluejoin(fn, i, self.cells[name].fn, self.cells[name].index)
    end
  end
end

local function unfinished(err)
  return err:find("<eof>$") ~= nil and not err:find("unfinished string near", 1, true)
end

-- The function of a line; or nil, the error, and whether the line is only not finished yet. An
-- expression returns its values.
function scope:compile(source, name)
  name = name or "=line"
  local expression = "return " .. source
  local is_expression, why = self:load(expression, name)
  if is_expression then
    source = expression
  else
    local ok, err = self:load(source, name)
    if not ok then return nil, err, unfinished(err) or unfinished(why) end
  end
  local locals, all = names_in(source)
  local fn = wrapped(self, source, name, locals, all)
  if not fn then -- nothing can stand behind a return
    fn, why = wrapped(self, source, name, {}, all)
    if not fn then return nil, why end
  end
  return join(self, fn, locals)
end

return eval

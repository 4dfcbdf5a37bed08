-- The shell's own line editor, where readline is not built in: the same functions as
-- repl/editor.c offers. Keys come in byte by byte, and each redraws what is typed.

local system = require "repl.system"
local text = require "repl.text"

local lines = {}

local most_words = 100 -- that the tab key shows
local most_undone = 1000

local prompt = ""
local chars, cursor = {}, 0   -- what is typed, and how many characters stand before the cursor
local pending = ""            -- bytes of a key that has not all come
local pasted                  -- what came of a paste that goes on
local history, recalled, kept = {}, nil, nil -- which entry is shown, and what was typed before
local yanked = {}
local changes = {}            -- what was typed before each change, and where the cursor stood
local search                  -- what Ctrl-R looks for, and which entry it has come to
local completer
local is_shown, row = false, 0 -- which row of the screen the cursor is in, from the prompt on

---- The screen ----------------------------------------------------------------------------------

local function head()
  if not search then return prompt end
  return string.format("(%ssearch) %s: ", search.failed and "failed " or "", text.safe(search.text))
end

-- Where the cursor is behind so many characters.
local function place(count, columns)
  local before = text.width(head())
  local at_row, column = before // columns, before % columns
  for i = 1, count do
    local width = text.width(chars[i])
    if chars[i] == "\n" then
      at_row, column = at_row + 1, 0
    else
      if column + width > columns then at_row, column = at_row + 1, 0 end
      column = column + width
      if column == columns then at_row, column = at_row + 1, 0 end
    end
  end
  return at_row, column
end

local function up(rows)
  return rows > 0 and "\27[" .. rows .. "A" or ""
end

local function clear()
  local s = up(row) .. "\r\27[J"
  row = 0
  return s
end

local function draw(before)
  local _, columns = system.size()
  local last_row, last_column = place(#chars, columns)
  local at_row, column = place(cursor, columns)
  local typed = table.concat(chars):gsub("\n", "\r\n")
  -- A terminal goes to the next row only with the next character.
  local wrap = last_column == 0 and last_row > 0 and chars[#chars] ~= "\n" and "\r\n" or ""
  io.stdout:write(before or clear(), head(), typed, wrap, up(last_row - at_row), "\r",
    column > 0 and "\27[" .. column .. "C" or "")
  io.stdout:flush()
  row = at_row
end

local function end_line()
  cursor = #chars
  draw()
  io.stdout:write("\27[?2004l\r\n")
  io.stdout:flush()
end

---- Editing -------------------------------------------------------------------------------------

local function characters(s)
  local list = {}
  for char in s:gmatch(utf8.len(s) and utf8.charpattern or ".") do list[#list + 1] = char end
  return list
end

local function insert(s)
  local new = characters(s)
  table.move(chars, cursor + 1, #chars, cursor + 1 + #new)
  table.move(new, 1, #new, cursor + 1, chars)
  cursor = cursor + #new
end

-- Takes what stands between two places away, and keeps it if that is more than a character.
local function cut(from, to, keep)
  if keep then yanked = table.move(chars, from + 1, to, 1, {}) end
  chars = table.move(chars, to + 1, #chars, from + 1, table.move(chars, 1, from, 1, {}))
  cursor = from
end

local function word_left()
  local at = cursor
  while at > 0 and not chars[at]:find("[%w\x80-\xff]") do at = at - 1 end
  while at > 0 and chars[at]:find("[%w\x80-\xff]") do at = at - 1 end
  return at
end

local function word_right()
  local at = cursor
  while at < #chars and not chars[at + 1]:find("[%w\x80-\xff]") do at = at + 1 end
  while at < #chars and chars[at + 1]:find("[%w\x80-\xff]") do at = at + 1 end
  return at
end

local function blank_left()
  local at = cursor
  while at > 0 and chars[at]:find("%s") do at = at - 1 end
  while at > 0 and not chars[at]:find("%s") do at = at - 1 end
  return at
end

local function recall(step)
  local at = (recalled or #history + 1) + step
  if at < 1 or at > #history + 1 then return end
  if not recalled then kept = table.concat(chars) end
  recalled = at
  chars = characters(history[at] or kept)
  cursor = #chars
end

-- Exchanges the characters around the cursor, at the end of the line the last two.
local function transpose()
  local at = math.min(cursor, #chars - 1)
  if at < 1 then return end
  chars[at], chars[at + 1] = chars[at + 1], chars[at]
  cursor = at + 1
end

---- Undoing -------------------------------------------------------------------------------------

-- Keeps what was before a key, where that changed something. Characters typed one after the other
-- are one change.
local function note_change(before, at, is_typed)
  local last = changes[#changes]
  if table.concat(chars) == before then return end
  if not (is_typed and last and last.typed_to == at) then
    changes[#changes + 1] = { line = before, cursor = at }
    if #changes > most_undone then table.remove(changes, 1) end
  end
  changes[#changes].typed_to = is_typed and cursor or nil
end

local function undo()
  local change = table.remove(changes)
  if change then chars, cursor = characters(change.line), change.cursor end
end

---- Searching the history -----------------------------------------------------------------------

-- Goes to the last entry up to this one that holds what is looked for.
local function look(from)
  for at = from, 1, -1 do
    local first = history[at]:find(search.text, 1, true)
    if first then
      chars, cursor = characters(history[at]), #characters(history[at]:sub(1, first - 1))
      search.at, search.failed = at, false
      return
    end
  end
  search.failed = true
end

local function start_search()
  search = { text = "", at = #history + 1, line = table.concat(chars), cursor = cursor }
end

-- A key while one searches. false: it ends the search, and is to do what it does elsewhere.
local function search_key(key)
  if key == "\18" then
    look(search.at - 1)
  elseif key == "\8" or key == "\127" then
    search.text = table.concat(characters(search.text), "", 1, math.max(0,
      #characters(search.text) - 1))
    look(#history)
  elseif not key:find("^[%z\1-\31]") then
    search.text = search.text .. key
    look(math.min(search.at, #history))
  else
    if key == "\7" then
      chars, cursor = characters(search.line), search.cursor
    elseif search.at <= #history then
      recalled, kept = search.at, search.line
    end
    search = nil
    return key == "\7"
  end
  return true
end

---- The tab key ---------------------------------------------------------------------------------

local function common_start(words)
  local start = words[1]
  for _, word in ipairs(words) do
    while word:sub(1, #start) ~= start do start = start:sub(1, -2) end
  end
  return start
end

local function show_words(words)
  local _, columns = system.size()
  local widest, shown = 0, math.min(#words, most_words)
  for i = 1, shown do widest = math.max(widest, text.width(words[i]) + 2) end
  local a_row = math.max(1, columns // widest)
  io.stdout:write("\r\n")
  for i = 1, shown do
    io.stdout:write(text.pad(text.safe(words[i]), widest),
      (i % a_row == 0 or i == shown) and "\r\n" or "")
  end
  if #words > shown then
    io.stdout:write(string.format("… and %d more\r\n", #words - shown))
  end
  draw("")
end

local tried -- what the tab key has just changed nothing in

local function complete()
  local before = table.concat(chars, "", 1, cursor)
  local is_command = before:find("^\\") ~= nil
  local word = before:match(is_command and "%S*$" or "[%w_\x80-\xff]*$")
  local found, words = pcall(completer, table.concat(chars), #before - #word + 1, word)
  if not found or not words or #words == 0 then return end
  local start = common_start(words)
  local is_whole = is_command and #words == 1 and not start:find("/$") -- a folder goes on
  if #start > #word or is_whole then
    insert(start:sub(#word + 1) .. (is_whole and " " or ""))
  elseif #words > 1 and tried == before then
    show_words(words)
  end
  tried = before
end

---- Keys ----------------------------------------------------------------------------------------

local keys = {
  ["\1"] = function() cursor = 0 end,
  ["\5"] = function() cursor = #chars end,
  ["\2"] = function() cursor = math.max(0, cursor - 1) end,
  ["\6"] = function() cursor = math.min(#chars, cursor + 1) end,
  ["\8"] = function() if cursor > 0 then cut(cursor - 1, cursor) end end,
  ["\4"] = function() if cursor < #chars then cut(cursor, cursor + 1) end end,
  ["\11"] = function() cut(cursor, #chars, true) end,
  ["\21"] = function() cut(0, cursor, true) end,
  ["\23"] = function() cut(blank_left(), cursor, true) end,
  ["\25"] = function() insert(table.concat(yanked)) end,
  ["\16"] = function() recall(-1) end,
  ["\14"] = function() recall(1) end,
  ["\12"] = function() draw("\27[H\27[2J") end,
  ["\18"] = start_search,
  ["\20"] = transpose,
  ["\31"] = undo,
  ["\9"] = complete,
  ["\27b"] = function() cursor = word_left() end,
  ["\27f"] = function() cursor = word_right() end,
  ["\27d"] = function() cut(cursor, word_right(), true) end,
  ["\27\127"] = function() cut(word_left(), cursor, true) end,
  ["\27[200~"] = function() pasted = "" end,
}

for same, as in pairs {
  ["\127"] = "\8", ["\27[3~"] = "\4", ["\27[A"] = "\16", ["\27[B"] = "\14", ["\27[C"] = "\6",
  ["\27[D"] = "\2", ["\27[H"] = "\1", ["\27[F"] = "\5", ["\27[1~"] = "\1", ["\27[4~"] = "\5",
  ["\27[7~"] = "\1", ["\27[8~"] = "\5", ["\27OA"] = "\16", ["\27OB"] = "\14", ["\27OC"] = "\6",
  ["\27OD"] = "\2", ["\27OH"] = "\1", ["\27OF"] = "\5", ["\27[1;5C"] = "\27f",
  ["\27[1;5D"] = "\27b", ["\27[1;3C"] = "\27f", ["\27[1;3D"] = "\27b", ["\27\8"] = "\27\127",
} do
  keys[same] = keys[as]
end

-- Whether more bytes belong to the key.
local function is_unfinished(key)
  local first = key:byte()
  if first == 27 then
    return #key == 1 or key:find("^\27[%[O]$") ~= nil or key:find("^\27%[[%d;]+$") ~= nil
  end
  local wanted = first >= 0xf0 and 4 or first >= 0xe0 and 3 or first >= 0xc0 and 2 or 1
  return #key < wanted
end

-- One more byte of a paste, which is over when that has been said.
local function take_pasted(byte)
  pasted = pasted .. byte
  local whole = pasted:match("^(.*)\27%[201~$")
  if not whole then return end
  pasted = nil
  local before, at = table.concat(chars), cursor
  insert((whole:gsub("\r\n?", "\n"):gsub("\t", " "):gsub("[%z\1-\9\11-\31\127]", "")))
  note_change(before, at)
  draw()
end

---- What the shell calls ------------------------------------------------------------------------

function lines.start(new_prompt)
  prompt, chars, cursor, pending, pasted = new_prompt, {}, 0, "", nil
  recalled, tried, search, changes, row, is_shown = nil, nil, nil, {}, 0, true
  system.raw(true)
  draw("\27[?2004h")
end

local function finish(line)
  end_line()
  is_shown = false
  system.raw(false)
  return line
end

function lines.read()
  local byte = system.read(1)
  if not byte or byte == "" then return finish(nil) end
  if pasted then
    take_pasted(byte)
    return false
  end
  pending = pending .. byte
  if is_unfinished(pending) then return false end
  local key = pending
  pending = ""
  if search and search_key(key) then
    draw()
    return false
  end
  if key == "\r" or key == "\n" then return finish(table.concat(chars)) end
  if key == "\4" and #chars == 0 then return finish(nil) end
  if key ~= "\9" then tried = nil end
  local before, at = table.concat(chars), cursor
  local is_typed = not keys[key] and not key:find("^[%z\1-\31]") and utf8.len(key) ~= nil
  if is_typed then insert(key) elseif keys[key] then keys[key]() end
  if key ~= "\31" then note_change(before, at, is_typed) end
  draw()
  return false
end

function lines.stop()
  if is_shown then finish(nil) end
end

function lines.hide()
  io.stdout:write(clear())
  io.stdout:flush()
end

function lines.show()
  row = 0
  draw()
end

function lines.drop(new_prompt)
  cursor = #chars
  draw()
  io.stdout:write("^C\r\n")
  prompt, chars, cursor, pending, pasted, recalled, row = new_prompt, {}, 0, "", nil, nil, 0
  search, changes = nil, {}
  draw()
end

function lines.is_empty()
  return #chars == 0
end

function lines.prompt(new_prompt)
  prompt = new_prompt
end

lines.resized = draw

function lines.release()
  if is_shown then system.raw(false) end
end

function lines.regain()
  if not is_shown then return end
  system.raw(true)
  row = 0
  draw()
end

function lines.remember(entry)
  history[#history + 1] = entry
end

function lines.completion(fn)
  completer = fn
end

return lines

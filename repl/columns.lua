-- Rows under a head, the columns as wide as what stands in them. The first rows decide that, so
-- that any number of them needs no more memory.

local text = require "repl.text"

local columns = {}

local widest, narrowest = 32, 3 -- of all columns but the last
local least_last = 8
local measured = 100

-- Makes widths fit a row, too.
function columns.widen(widths, row)
  for i = 1, #row - 1 do
    widths[i] = math.min(widest, math.max(widths[i] or 0, text.width(row[i])))
  end
end

-- Widths that leave the last column some room: the widest is made narrower, again and again.
local function fitted(widths, width)
  local list, used = { table.unpack(widths) }, least_last
  for _, column in ipairs(list) do used = used + column + 2 end
  while used > width do
    local at = 1
    for i, column in ipairs(list) do at = column > list[at] and i or at end
    if list[at] <= narrowest then break end
    list[at], used = list[at] - 1, used - 1
  end
  return list
end

-- A row as a line that fits width; right is the column that is flush right, if any.
function columns.line(row, widths, width, right)
  local cells, fits = {}, width == math.huge
  if not fits and #row > 1 then widths = fitted(widths, width) end
  for i = 1, #row - 1 do
    local cell = fits and row[i] or text.clip(row[i], widths[i])
    cells[i] = text.pad(cell, widths[i], i == right) .. "  "
  end
  local left, last = table.concat(cells), row[#row]
  if not fits then last = text.clip(last, math.max(least_last, width - text.width(left))) end
  return (left .. last):gsub("%s+$", "")
end

-- Takes rows one by one: add(row), then settle(). A single column needs no head.
function columns.writer(out, head, right)
  local rows, widths = {}, nil
  local function write(row, kind)
    local line = columns.line(row, widths, out:width(), right)
    out:write((kind and out:painter()(line, kind) or line) .. "\n")
  end
  local function settle()
    if widths or #rows == 0 then return end
    widths = {}
    if #head > 1 then columns.widen(widths, head) end
    for _, row in ipairs(rows) do columns.widen(widths, row) end
    if #head > 1 then write(head, "title") end
    for _, row in ipairs(rows) do write(row) end
    rows = nil
  end
  return {
    add = function(_, row)
      if widths then return write(row) end
      rows[#rows + 1] = row
      if #rows >= measured then settle() end
    end,
    settle = settle,
  }
end

return columns

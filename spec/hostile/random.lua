-- Chance that comes again: the same numbers for the same seed (xorshift).
return function(seed)
  local state = (seed + 1) * 0x9E3779B97F4A7C15 | 1
  local function turn()
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    return state
  end
  for _ = 1, 8 do turn() end

  local M = {}

  -- From 0 to n - 1.
  function M.below(n)
    return (turn() >> 11) % n
  end

  function M.one_in(n)
    return M.below(n) == 0
  end

  function M.pick(list)
    return list[M.below(#list) + 1]
  end

  return M
end

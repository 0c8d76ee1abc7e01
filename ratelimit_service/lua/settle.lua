-- Ends a hold: every place of it is put to what the call came to. The counters, of the record's server or slot, are
-- named by the record, and not by the caller.
--
-- KEYS: the record, and the index if it has one. ARGV: the time, the id; then two of each claim: key, and what the call
-- came to.
-- Reply: 1 or 0 for whether the hold was open, and the time.
local text = close(KEYS[1], KEYS[2], ARGV[2])
if not text then return {0, now} end

local reals = {}
for at = 3, #ARGV, 2 do reals[ARGV[at]] = tonumber(ARGV[at + 1]) end

-- What was under way is given back; what no claim speaks of stays as it was taken.
local function real(claim, kind, amount)
  if kind == 'f' then return 0 end
  return reals[claim] or amount
end

local LINE = '([^ \n]+) (%d+) (%l)[-r]([-h]) (%d+) (%d+) (%d+) (%d+)'
for key, known, kind, held, amount, first, second, index in string.gmatch(text, '\n' .. LINE) do
  correct({
    key = key, kind = kind, held = held == 'h', amount = tonumber(amount), first = tonumber(first),
    second = tonumber(second), index = tonumber(index),
    real = real(string.sub(key, 1, tonumber(known)), kind, tonumber(amount)),
  })
end
return {1, now}

-- Gives back what a call took in one slot, as if it had never been.
--
-- KEYS: the counter of each place, then the record of the hold if there is one. ARGV: the time; then six of each place:
--       kind, h for held, amount, the two numbers of its window, index. Reply: 1, and the time.
local places = (#ARGV - 1) / 6
for position = 1, places do
  local at = 6 * position - 4
  correct({
    key = KEYS[position], kind = ARGV[at], held = ARGV[at + 1] == 'h', amount = tonumber(ARGV[at + 2]), real = 0,
    first = tonumber(ARGV[at + 3]), second = tonumber(ARGV[at + 4]), index = tonumber(ARGV[at + 5]),
  })
end
if KEYS[places + 1] then redis.call('DEL', KEYS[places + 1]) end
return {1, now}

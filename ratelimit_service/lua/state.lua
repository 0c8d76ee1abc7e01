-- Counters for inspection, and an admin's changes to them.
--
-- KEYS: the counters. ARGV: the time; what to grant, 0 for nothing; 1 to forget what was used, and not what is held;
--       then three of each counter: kind, and period and sub-window length or begin and end.
-- Reply: 1 and the time, then count, held and granted of each; 2 and the time where it is another window's by now.
local grant, forget = tonumber(ARGV[2]), ARGV[3] == '1'
local reply = {1, now}
for at = 4, #ARGV, 3 do
  local first, second = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if ARGV[at] == 'c' and (now < first or now >= second) then return {2, now} end
end

local function change(counter)
  if grant > 0 then
    counter.granted = redis.call('HINCRBY', counter.key, 'granted', whole(grant))
    expire(counter.key, counter.ends + KEPT - now)
  end
  if forget and not counter.fresh then
    counter.total = counter.held
    redis.call('HSET', counter.key, 'count', whole(counter.held))
  end
end

for position = 1, #KEYS do
  local at = 3 * position + 1
  local counter = counter_at(KEYS[position], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
  if counter.ends then change(counter) end
  table.insert(reply, counter.total)
  table.insert(reply, counter.held or 0)
  table.insert(reply, counter.granted)
end
return reply

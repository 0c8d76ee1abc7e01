-- The holds whose lease is over, oldest first.
--
-- KEYS: the index. ARGV: the time, how many at most. Reply: 1, the time, and the ids.
trim(KEYS[1])
local reply = {1, now}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'LIMIT', 0, ARGV[2])) do
  table.insert(reply, id)
end
return reply

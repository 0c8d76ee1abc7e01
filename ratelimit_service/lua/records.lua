-- KEYS: records of holds. Reply: 1, the time, and their texts; empty for one that was settled meanwhile.
local reply = {1, now}
for position = 1, #KEYS do table.insert(reply, redis.call('GET', KEYS[position]) or '') end
return reply

-- The record of a call under way: a note, then a line for each place that is corrected when it ends; and the index of
-- all records by the end of their lease. A record of what a call holds in one slot of several is in no index.

-- What nobody asked for in all the time is forgotten.
local function trim(index)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', whole(now - KEPT))
end

-- Answers whether the record is new: one that is there is never overwritten.
local function open(record, index, id, lease, text)
  local kept = lease + KEPT
  if not redis.call('SET', record, text, 'NX', 'PX', math.ceil(kept / 1000)) then return false end
  if not index then return true end
  trim(index)
  redis.call('ZADD', index, whole(now + lease), id)
  if redis.call('PTTL', index) * 1000 < kept then expire(index, kept) end
  return true
end

local function close(record, index, id)
  local text = redis.call('GET', record)
  redis.call('DEL', record)
  if index then redis.call('ZREM', index, id) end
  return text
end

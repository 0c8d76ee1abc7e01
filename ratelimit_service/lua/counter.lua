-- Counters as of now, in both kinds; each is a hash that expires by itself.
--
-- ARGV[1]: the time in microseconds; empty: the server's own clock. All times are microseconds.
-- A sliding window: number of a sub-window -> its count; where a clock that was set back has moved counts, `back` ->
-- the last sub-window that they came from, and `to` -> the first that they went to. A calendar window: `count`, with
-- what is `held` of it, and `granted`, what is allowed beyond the limit.

-- How long a calendar window is there to look at, and a hold to ask for, behind its end; as in places.py.
local KEPT = 7 * 86400 * 1000000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Lua itself would write 15 digits of a number and drop the rest.
local function whole(number)
  return string.format('%.0f', number)
end

local function expire(key, microseconds)
  redis.call('PEXPIRE', key, math.ceil(microseconds / 1000))
end

local function leaves(counter, index)
  return (index + 1) * counter.length + counter.period - 1
end

local function put(counter, index, count)
  redis.call('HINCRBY', counter.key, whole(index), whole(count))
  if not counter.counts[index] then
    expire(counter.key, counter.period + counter.length)
    table.insert(counter.order, index)
  end
  counter.counts[index] = (counter.counts[index] or 0) + count
  counter.total = counter.total + count
end

-- Sub-windows that have left are removed; counts from the future (the clock was set back) are moved to now, so that
-- they neither vanish nor block for longer than a period.
local function window_at(key, period, length)
  local newest = math.floor(now / length)
  local counter = {
    key = key, period = period, length = length, newest = newest, back = -1, to = newest,
    counts = {}, order = {}, total = 0, granted = 0,
  }
  local oldest = math.floor((now - period + 1) / length)
  local fields = redis.call('HGETALL', key)
  local gone, ahead, from = {}, 0, -1
  for field = 1, #fields, 2 do
    local name, count = fields[field], tonumber(fields[field + 1])
    local index = tonumber(name)
    if not index then
      counter[name] = count
    elseif index < oldest then
      table.insert(gone, name)
    elseif index > newest then
      table.insert(gone, name)
      from = math.max(from, index)
      ahead = ahead + count
    else
      counter.counts[index] = count
      counter.total = counter.total + count
      table.insert(counter.order, index)
    end
  end
  if counter.back >= 0 and counter.back < oldest then
    gone[#gone + 1], gone[#gone + 2] = 'back', 'to'
    counter.back, counter.to = -1, newest
  end
  if ahead > 0 then
    put(counter, newest, ahead)
    counter.back, counter.to = math.max(counter.back, from), math.min(counter.to, newest)
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  if ahead > 0 then redis.call('HSET', key, 'back', whole(counter.back), 'to', whole(counter.to)) end
  table.sort(counter.order)
  return counter
end

local function calendar_at(key, begins, ends)
  local found = redis.call('HMGET', key, 'count', 'held', 'granted')
  return {
    key = key, begins = begins, ends = ends, fresh = not (found[1] or found[3]),
    total = tonumber(found[1] or 0), held = tonumber(found[2] or 0), granted = tonumber(found[3] or 0),
  }
end

local function counter_at(key, kind, first, second)
  if kind == 'c' then return calendar_at(key, first, second) end
  return window_at(key, first, second)
end

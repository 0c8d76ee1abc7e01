-- Counts the hits of one call in fixed windows, which begin at multiples of their length since the epoch.
--
-- KEYS: one hash per counter: the number of its window, and its count.
-- ARGV: the time in microseconds, empty for the server's own clock; 1 where, as soon as one counter goes over its limit,
--       only those that do are counted, else 0; then window length in seconds, limit and hits of each key. Hits below
--       zero are given back, zero only looks.
-- Reply: the time in seconds; then the count of each key.
local MOST = 2 ^ 50

local now = tonumber(ARGV[1])
if now then
  now = now / 1000000
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function asked(position)
  local first = 3 * position
  local length = tonumber(ARGV[first])
  return {
    key = KEYS[position], length = length, window = math.floor(now / length),
    limit = tonumber(ARGV[first + 1]), hits = tonumber(ARGV[first + 2]),
  }
end

-- A window from the future is left by a clock that was set back: its hits count now, and are not forgotten.
local function count(counter)
  local kept = redis.call('HMGET', counter.key, 'window', 'count')
  local window = tonumber(kept[1])
  if not window or window < counter.window then return 0 end
  return tonumber(kept[2])
end

local function add(counter)
  local total = math.max(0, math.min(MOST, count(counter) + counter.hits))
  local remaining = (counter.window + 1) * counter.length - now
  redis.call('HSET', counter.key,
    'window', string.format('%.0f', counter.window), 'count', string.format('%.0f', total))
  redis.call('PEXPIRE', counter.key, math.max(1, math.ceil(remaining * 1000)))
  return total
end

local counters, any_over = {}, false
for position = 1, #KEYS do
  local counter = asked(position)
  counter.over = count(counter) + counter.hits > counter.limit
  any_over = any_over or counter.over
  counters[position] = counter
end

local only_over = ARGV[2] == '1' and any_over
local reply = {math.floor(now)}
for position, counter in ipairs(counters) do
  local counts = counter.hits ~= 0 and (counter.over or not only_over)
  reply[position + 1] = counts and add(counter) or count(counter)
end
return reply

-- Takes the hits of one call from every counter, or from none.
--
-- KEYS: one hash per counter: number of a sub-window -> its count.
-- ARGV: hits; the time in microseconds, empty for the server's own clock; then limit, period and sub-window length of
--       each key, times in microseconds.
-- Reply: 1 or 0 for taken or not; then count, reset and retry of each key, as windows.py defines them.
local hits = tonumber(ARGV[1])
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function add(counter, count)
  redis.call('HINCRBY', counter.key, string.format('%.0f', counter.newest), count)
  redis.call('PEXPIRE', counter.key, math.ceil((counter.period + counter.length) / 1000))
  counter.total = counter.total + count
  if not counter.counts[counter.newest] then
    table.insert(counter.order, counter.newest)
  end
  counter.counts[counter.newest] = (counter.counts[counter.newest] or 0) + count
end

-- The counter as of now. Sub-windows that have left are removed; counts from the future (the clock was set back) are
-- moved to now, so that they neither vanish nor block for longer than a period.
local function counter_at(position)
  local first = 3 * position
  local counter = {
    key = KEYS[position],
    limit = tonumber(ARGV[first]),
    period = tonumber(ARGV[first + 1]),
    length = tonumber(ARGV[first + 2]),
    counts = {}, order = {}, total = 0,
  }
  counter.newest = math.floor(now / counter.length)
  local oldest = math.floor((now - counter.period + 1) / counter.length)
  local fields = redis.call('HGETALL', counter.key)
  local gone, ahead = {}, 0
  for field = 1, #fields, 2 do
    local index, count = tonumber(fields[field]), tonumber(fields[field + 1])
    if index < oldest then
      table.insert(gone, fields[field])
    elseif index > counter.newest then
      table.insert(gone, fields[field])
      ahead = ahead + count
    else
      counter.counts[index] = count
      counter.total = counter.total + count
      table.insert(counter.order, index)
    end
  end
  if ahead > 0 then add(counter, ahead) end
  if #gone > 0 then redis.call('HDEL', counter.key, unpack(gone)) end
  table.sort(counter.order)
  return counter
end

local function leaves(counter, index)
  return (index + 1) * counter.length + counter.period - 1
end

local function reset(counter)
  if #counter.order == 0 then return 0 end
  return leaves(counter, counter.order[1]) - now
end

local function retry(counter)
  if hits > counter.limit then return counter.period end
  local excess = counter.total + hits - counter.limit
  local moment = now
  for _, index in ipairs(counter.order) do
    if excess <= 0 then break end
    excess = excess - counter.counts[index]
    moment = leaves(counter, index)
  end
  return moment - now
end

local counters, retries, admitted = {}, {}, 1
for position = 1, #KEYS do
  counters[position] = counter_at(position)
  retries[position] = retry(counters[position])
  if retries[position] > 0 then admitted = 0 end
end

local reply = {admitted}
for position, counter in ipairs(counters) do
  if admitted == 1 then add(counter, hits) end
  table.insert(reply, counter.total)
  table.insert(reply, reset(counter))
  table.insert(reply, retries[position])
end
return reply

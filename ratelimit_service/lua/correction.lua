-- Puts a place that a call took `amount` at to what the call came to. A place that has left counts nothing.

local function correct_calendar(place)
  local kept = place.second + KEPT - now
  local counter = calendar_at(place.key, place.first, place.second)
  local change = place.real - place.amount
  if kept <= 0 or (counter.fresh and change <= 0) then return end
  local held = place.held and math.max(0, counter.held - place.amount) or counter.held
  redis.call('HSET', place.key, 'count', whole(math.max(held, counter.total + change)), 'held', whole(held))
  expire(place.key, kept)
end

-- Never from a younger sub-window than it was counted in: that would free a call before its time.
local function give_back(counter, index, count)
  local held = math.min(count, counter.counts[index] or 0)
  if held == 0 then return count end
  if held == counter.counts[index] then
    redis.call('HDEL', counter.key, whole(index))
  else
    redis.call('HINCRBY', counter.key, whole(index), whole(-held))
  end
  return count - held
end

local function correct_window(place)
  local counter = window_at(place.key, place.first, place.second)
  local change = place.real - place.amount
  if leaves(counter, place.index) <= now or change == 0 then return end
  if change > 0 then
    put(counter, math.min(place.index, counter.newest), change)
  elseif place.index > counter.back then
    give_back(counter, place.index, -change)
  else
    local count = -change
    for _, index in ipairs(counter.order) do
      if index <= math.min(place.index, counter.to) then count = give_back(counter, index, count) end
    end
  end
end

local function correct(place)
  if place.kind == 'c' then correct_calendar(place) else correct_window(place) end
end

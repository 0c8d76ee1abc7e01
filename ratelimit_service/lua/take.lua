-- Takes what one call claims of every counter, or nothing of any.
--
-- KEYS: the counter of each claim; with a hold its record behind them, and the index if it has one.
-- ARGV: the time; `dry` to take nothing; id, lease and note of the hold, an empty id for none; then six of each claim:
--       kind, report and held in three letters, how much of the key the claim knows, amount, limit, and period and
--       sub-window length or begin and end.
-- Reply: what became of it, and the time; then count, reset, retry and granted of each claim, as windows.py has them.
local REFUSED, TAKEN, ANOTHER_WINDOW, REPEATED = 0, 1, 2, 3
local FIRST, WIDTH = 6, 6
local id = ARGV[3]
local claims = {}

for at = FIRST, #ARGV, WIDTH do
  local flags = ARGV[at]
  local claim = {
    key = KEYS[#claims + 1], flags = flags, kind = string.sub(flags, 1, 1), report = string.sub(flags, 2, 2) == 'r',
    held = string.sub(flags, 3, 3) == 'h', known = ARGV[at + 1], amount = tonumber(ARGV[at + 2]),
    limit = tonumber(ARGV[at + 3]), first = tonumber(ARGV[at + 4]), second = tonumber(ARGV[at + 5]),
  }
  if claim.kind == 'c' and (now < claim.first or now >= claim.second) then return {ANOTHER_WINDOW, now} end
  table.insert(claims, claim)
end

local function retry_in_window(counter, limit, amount)
  if amount > limit then return counter.period end
  local excess = counter.total + amount - limit
  local moment = now
  for _, index in ipairs(counter.order) do
    if excess <= 0 then break end
    excess = excess - counter.counts[index]
    moment = leaves(counter, index)
  end
  return moment - now
end

-- When a call under way ends nobody knows: another may be tried soon.
local SOON = 1000000

local function retry(claim)
  local counter = claim.counter
  if claim.kind == 'f' then return math.min(SOON, retry_in_window(counter, claim.limit, claim.amount)) end
  if claim.kind == 'w' then return retry_in_window(counter, claim.limit, claim.amount) end
  if counter.total + claim.amount <= claim.limit + counter.granted then return 0 end
  return claim.second - now
end

local function reset(counter)
  if counter.ends then return counter.ends - now end
  if #counter.order == 0 then return 0 end
  return leaves(counter, counter.order[1]) - now
end

local function place(claim)
  return table.concat({
    claim.key, claim.known, claim.flags, whole(claim.amount), whole(claim.first), whole(claim.second),
    whole(claim.counter.newest or claim.first),
  }, ' ')
end

local function add_to_calendar(counter, claim)
  redis.call('HINCRBY', counter.key, 'count', whole(claim.amount))
  if claim.held then redis.call('HINCRBY', counter.key, 'held', whole(claim.amount)) end
  if counter.fresh then expire(counter.key, counter.ends + KEPT - now) end
  counter.total = counter.total + claim.amount
end

local function add(claim)
  if claim.amount == 0 then return end
  if claim.kind == 'c' then
    add_to_calendar(claim.counter, claim)
  else
    put(claim.counter, claim.counter.newest, claim.amount)
  end
end

local status, places = ARGV[2] == 'dry' and REFUSED or TAKEN, {ARGV[5]}
for _, claim in ipairs(claims) do
  claim.counter = counter_at(claim.key, claim.kind, claim.first, claim.second)
  claim.retry = retry(claim)
  if claim.retry > 0 and not claim.report then status = REFUSED end
  if claim.retry == 0 and claim.held then table.insert(places, place(claim)) end
end
if status == TAKEN and id ~= '' then
  if not open(KEYS[#claims + 1], KEYS[#claims + 2], id, tonumber(ARGV[4]), table.concat(places, '\n')) then
    return {REPEATED, now}
  end
end

local reply = {status, now}
for _, claim in ipairs(claims) do
  if status == TAKEN and claim.retry == 0 then add(claim) end
  table.insert(reply, claim.counter.total)
  table.insert(reply, reset(claim.counter))
  table.insert(reply, claim.retry)
  table.insert(reply, claim.counter.granted)
end
return reply

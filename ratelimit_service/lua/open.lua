-- Remembers a hold whose places lie in other slots.
--
-- KEYS: the record and the index. ARGV: the time, id, lease, text. Reply: 1, or 0 where the id is there already; the
-- time.
return {open(KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3]), ARGV[4]) and 1 or 0, now}

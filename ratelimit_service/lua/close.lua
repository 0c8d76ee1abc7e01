-- Ends a hold whose places lie in other slots.
--
-- KEYS: the record and the index. ARGV: the time, id. Reply: 1 or 0 for whether it was open, and the time.
return {close(KEYS[1], KEYS[2], ARGV[2]) and 1 or 0, now}

#!lua
-- An intake process says that it is up. A gap since the last word of any of them begins a new stretch.
-- It must not go through when the store is full: nothing is taken in then, so the intake is down.
-- KEYS  1 health: hash {since, last}, ms since the epoch
-- ARGV  1 shift ms  2 longest gap, ms
-- Answers the ms since the stretch began.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local since, last = unpack(redis.call('HMGET', KEYS[1], 'since', 'last'))
if not last or now - last > tonumber(ARGV[2]) then
  since = now
end

redis.call('HSET', KEYS[1], 'since', since, 'last', now)
return now - since

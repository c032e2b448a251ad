#!lua
-- An intake process says that it is up. A gap since the last word of any of them begins a new stretch. So does a refusal,
-- a process that starts (what was posted to the one before it may still be on its way back), and a clock that was set.
-- It must not go through when the store is full: nothing is taken in then, so the intake is down.
-- KEYS  1 health: hash {since, last}, ms since the epoch
-- ARGV  1 shift ms  2 longest gap, ms  3 whether it starts, or has refused something since its last word (1 | 0)
-- Answers the ms since the stretch began; below 0: by so many ms the clock was set back since the last word.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local since, last = unpack(redis.call('HMGET', KEYS[1], 'since', 'last'))
local passed = last and now - last
if ARGV[3] == '1' or not passed or passed > tonumber(ARGV[2]) or passed < 0 then
  since = now
end

redis.call('HSET', KEYS[1], 'since', since, 'last', now)
if passed and passed < 0 then
  return passed
end
return now - since

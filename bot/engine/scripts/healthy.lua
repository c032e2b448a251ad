#!lua flags=no-writes
-- For how long the intake has been up without a gap.
-- KEYS  1 health: see beat.lua
-- ARGV  1 shift ms  2 longest gap, ms
-- Answers ms; 0 = it is down, or has never been up.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local since, last = unpack(redis.call('HMGET', KEYS[1], 'since', 'last'))
if not last or now - last > tonumber(ARGV[2]) then
  return 0
end
return math.max(0, now - since)

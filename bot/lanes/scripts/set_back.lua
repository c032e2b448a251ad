#!lua flags=allow-oom
-- The store's clock was set back: what was noted before lies too far ahead. Lanes with work keep what was left of
-- their lease or rest; timers stay, for they mean a time of day.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 by how much it was set back, ms  3 how far leases and doubts reach that were noted since, ms
-- Answers the number of lanes that were moved.

local from = '(' .. now_ms(ARGV[1]) + tonumber(ARGV[3])

local moved = 0
local ahead = redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf', 'WITHSCORES')
for n = 1, #ahead, 2 do
  if redis.call('HEXISTS', KEYS[1], 'm:' .. ahead[n]) == 1 then
    redis.call('ZADD', KEYS[2], ahead[n + 1] - tonumber(ARGV[2]), ahead[n])
    moved = moved + 1
  end
end
return moved

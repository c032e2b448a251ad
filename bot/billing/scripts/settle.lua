#!lua flags=allow-oom
-- Put the meter's truth in place of our estimates: what was counted up to a moment is replaced by what it really came to.
-- KEYS  1 month: hash, see lease.lua
-- ARGV  1 seconds to remember the month, then for each field: its name, its count at that moment, what it came to
-- Answers points gone after it.

for n = 2, #ARGV, 3 do
  local base = tonumber(ARGV[n + 2]) - tonumber(ARGV[n + 1])
  redis.call('HSET', KEYS[1], ARGV[n] .. ':base', string.format('%.0f', base))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])

local count, base = unpack(redis.call('HMGET', KEYS[1], 'spent', 'spent:base'))
return tonumber(count or 0) + tonumber(base or 0)

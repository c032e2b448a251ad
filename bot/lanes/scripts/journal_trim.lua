#!lua flags=allow-oom
-- Drop the oldest lines of the journal, if they are still those that were read: another reader may have dropped
-- them, and after a failover other lines may stand where they stood.
-- KEYS  1 box  2 journal
-- ARGV  1 position at the reading  2 number of lines  3 the last of them
-- Answers 1, or 0 = they are not there, nothing done.

local n = tonumber(ARGV[2])
local position = tonumber(redis.call('HGET', KEYS[1], 'trimmed') or 0)
if position ~= tonumber(ARGV[1]) or redis.call('LINDEX', KEYS[2], n - 1) ~= ARGV[3] then
  return 0
end

redis.call('LTRIM', KEYS[2], n, -1)
redis.call('HINCRBY', KEYS[1], 'trimmed', n)
return 1

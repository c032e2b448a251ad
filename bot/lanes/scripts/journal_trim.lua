#!lua flags=allow-oom
-- Drop the oldest lines of the journal, unless somebody did so since they were read.
-- KEYS  1 box  2 journal
-- ARGV  1 position at the reading  2 number of lines
-- Answers 1, or 0 = another reader was first, nothing done.

local n = tonumber(ARGV[2])
local position = tonumber(redis.call('HGET', KEYS[1], 'trimmed') or 0)
if position ~= tonumber(ARGV[1]) or n > redis.call('LLEN', KEYS[2]) then
  return 0
end

redis.call('LTRIM', KEYS[2], n, -1)
redis.call('HINCRBY', KEYS[1], 'trimmed', n)
return 1

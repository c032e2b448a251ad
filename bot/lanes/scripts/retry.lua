#!lua flags=allow-oom
-- Give a lane back untouched; nobody may claim it before the delay is over.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 lane  3 token  4 delay ms
--       5 clean | doubted | vanished: what the next holder must think of the head
--       6 whether this attempt counts (1 | 0)
-- Answers 1, or 0 = stale, nothing done.

local now = now_ms(ARGV[1])
local delay = tonumber(ARGV[4])
local lane = ARGV[2]

local m = read(KEYS[1], lane)
if not m or m.token ~= tonumber(ARGV[3]) then
  return 0
end

if ARGV[5] == 'vanished' then
  -- A lease that nobody holds: the next holder sees what we saw.
  m.token = number(KEYS[1])
elseif ARGV[5] == 'doubted' then
  m.token = DOUBTED
  -- The proof came before the doubt was stated.
  if redis.call('HEXISTS', KEYS[1], 'd:' .. lane .. ':' .. m.head) == 1 then
    delay = 0
  end
else
  m.token = RESTS
end
if ARGV[6] == '0' then
  m.tries = math.max(0, m.tries - 1)
end

redis.call('HSET', KEYS[1], 'm:' .. lane, packed(m))
redis.call('ZADD', KEYS[2], now + delay, lane)
return 1

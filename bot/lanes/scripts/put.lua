#!lua
-- Append one event, once.
-- KEYS  1 box  2 ready  3 seen: the set of marks of the event's own day, so a redelivery falls into the same set
-- ARGV  1 shift ms  2 lane  3 body  4 mark ('' = never a duplicate)  5 seconds to remember marks
--       6 lease ms (0 = do not take)  7 most items to show
-- Answers seen | waiting | {taken...}: the lane, leased to the caller.

local lease = tonumber(ARGV[6])
local most = tonumber(ARGV[7])

if ARGV[4] ~= '' then
  if redis.call('SADD', KEYS[3], ARGV[4]) == 0 then
    -- A write, whatever it is: who waits for the replicas waits for their own writes, and the item may be new to them.
    number(KEYS[1])
    return 'seen'
  end
  if redis.call('SCARD', KEYS[3]) == 1 then
    redis.call('EXPIRE', KEYS[3], ARGV[5])
  end
end

return append(KEYS[1], KEYS[2], ARGV[2], ARGV[3], now_ms(ARGV[1]), lease, most) or 'waiting'

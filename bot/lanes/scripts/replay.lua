#!lua
-- Put a dead letter back, as a new item at the end of its lane.
-- KEYS  1 box  2 ready  3 dead
-- ARGV  1 shift ms  2 lane  3 the dead item's id
-- Answers 1, or 0 = there is no such dead letter.

local letter = redis.call('HGET', KEYS[3], ARGV[3])
if not letter then
  return 0
end

local body = string.sub(letter, string.find(letter, '\n', 1, true) + 1)
append(KEYS[1], KEYS[2], ARGV[2], body, now_ms(ARGV[1]), 0, 0)
redis.call('HDEL', KEYS[3], ARGV[3])
return 1

#!lua flags=allow-oom
-- Push out the end of several leases.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 lease ms, then per lane: lane, token
-- Answers {1 | 0...}: 0 = the lease is lost, nothing done.

local till = now_ms(ARGV[1]) + tonumber(ARGV[2])

local out = {}
for a = 3, #ARGV, 2 do
  local m = read(KEYS[1], ARGV[a])
  local mine = m and m.token == tonumber(ARGV[a + 1])
  if mine then
    redis.call('ZADD', KEYS[2], till, ARGV[a])
  end
  out[#out + 1] = mine and 1 or 0
end
return out

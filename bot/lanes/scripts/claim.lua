#!lua flags=allow-oom
-- Lease lanes that are due, the longest due first: items wait, the back-off or the timer is over, or a lease ran out.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 lease ms  3 most lanes  4 most items to show of each
-- Answers {when the next lane is due (ms since the epoch, 0 = none), {taken...}...}.

local now = now_ms(ARGV[1])
local till = now + tonumber(ARGV[2])
local most = tonumber(ARGV[4])

local out = { 0 }
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])
if #due > 0 then
  local token = number(KEYS[1])
  for _, lane in ipairs(due) do
    out[#out + 1] = take(KEYS[1], KEYS[2], lane, read(KEYS[1], lane) or fresh(), token, till, most)
  end
end

local next_due = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
out[1] = tonumber(next_due[2] or 0)
return out

#!lua
-- The conversation that was asked lets the browser in, or does not. Answered again the same, it is told the same.
-- KEYS  1 link: see link_begin.lua
-- ARGV  1 shift ms  2 conversation  3 approved | refused  4 sealed, whom it lets in
-- Answers 1 = done, 0 = it is over, or was answered otherwise.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local till, state, conversation = unpack(redis.call('HMGET', KEYS[1], 'until', 'state', 'conversation'))
if not till or now >= tonumber(till) or conversation ~= ARGV[2] then
  return 0
end
if state == 'asked' then
  redis.call('HSET', KEYS[1], 'state', ARGV[3], 'who', ARGV[4])
  return 1
end
return state == ARGV[3] and 1 or 0

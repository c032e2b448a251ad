#!lua
-- Whoever holds the secret takes the login, once; or gives it up, whatever its state.
-- KEYS  1 link: see link_begin.lua
-- ARGV  1 shift ms  2 keyed hash of the secret  3 approved = take it, any = give it up
-- Answers {sealed, whom it lets in}, or nothing.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local till, state, secret, who = unpack(redis.call('HMGET', KEYS[1], 'until', 'state', 'secret', 'who'))
if not till or secret ~= ARGV[2] then
  return false
end
if ARGV[3] == 'any' then
  redis.call('DEL', KEYS[1])
  return false
end
if now >= tonumber(till) or state ~= ARGV[3] then
  return false
end
redis.call('DEL', KEYS[1])
return who

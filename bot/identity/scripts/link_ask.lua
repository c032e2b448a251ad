#!lua
-- A conversation names a login: it alone may answer for it from here on. Asked again it is told the same.
-- KEYS  1 link: see link_begin.lua
-- ARGV  1 shift ms  2 channel  3 conversation
-- Answers {about, begun: ms since the epoch}, or nothing: there is none, or it is not for this conversation.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local till, state, channel, conversation, about =
  unpack(redis.call('HMGET', KEYS[1], 'until', 'state', 'channel', 'conversation', 'about'))
if not till or now >= tonumber(till) or channel ~= ARGV[2] then
  return false
end
if state == 'asked' and conversation == ARGV[3] then
  return about
end
if state ~= 'new' then
  return false
end
redis.call('HSET', KEYS[1], 'state', 'asked', 'conversation', ARGV[3])
return about

#!lua
-- Keep a login that waits for its confirmation, in place of what was there.
-- KEYS  1 link: hash {secret: keyed hash, until: ms since the epoch, state: new | asked | approved | refused, channel,
--         about: JSON of what the person is told, conversation: who was asked, who: sealed, whom it lets in}
-- ARGV  1 shift ms  2 life ms  3… field, value

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])), unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return now

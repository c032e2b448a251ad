#!lua
-- Try a code. The try is counted before anything is compared, and the right one is used up by the same step.
-- KEYS  1 code: hash {challenge, key, hash, rest, tries, until: ms since the epoch}
-- ARGV  1 shift ms  2 id of the challenge  3 most tries  4… id of a key, keyed hash of what was typed under it
-- Answers {what: -1 = there is no such code (any more), 0 = compared, and wrong, 1 = right; the sealed rest if right}.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])

local challenge, key, hash, rest, till = unpack(redis.call('HMGET', KEYS[1], 'challenge', 'key', 'hash', 'rest', 'until'))
if not challenge or challenge ~= ARGV[2] then
  return { -1 }
end
if now >= tonumber(till) then
  redis.call('DEL', KEYS[1])
  return { -1 }
end

local tries = redis.call('HINCRBY', KEYS[1], 'tries', 1)
local most = tonumber(ARGV[3])
if tries > most then
  redis.call('DEL', KEYS[1])
  return { -1 }
end

for n = 4, #ARGV, 2 do
  if ARGV[n] == key and ARGV[n + 1] == hash then
    redis.call('DEL', KEYS[1])
    return { 1, rest }
  end
end
if tries == most then
  redis.call('DEL', KEYS[1])
end
return { 0 }

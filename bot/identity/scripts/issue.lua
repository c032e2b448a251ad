#!lua
-- Let a new code be sent to a phone, unless it got too many; it takes the place of the one before.
-- A clock that was set back makes nobody wait longer than the rule says: what lies ahead counts as now.
-- KEYS  1 sends: list of when the phone was sent codes, ms since the epoch, the latest first   2 code: see try.lua
--       3 live: set of the keys of codes that may still be good
-- ARGV  1 shift ms  2 life of a code, ms  3 id of the challenge  4 id of the key  5 keyed hash of the code  6 sealed rest
--       7 short window, ms  8 most in it  9 long window, ms  10 most in it  11… rest after the 1st, 2nd … send, ms
-- Answers {ms to wait: 0 = it may be sent, ms until the next may be asked for}.

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[1])
local short, short_max = tonumber(ARGV[7]), tonumber(ARGV[8])
local long, long_max = tonumber(ARGV[9]), tonumber(ARGV[10])

local sends = {}
for _, noted in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local at = math.min(now, tonumber(noted))
  if at > now - long then
    sends[#sends + 1] = at
  end
end

local function rest()
  local last = #ARGV - 10
  return tonumber(ARGV[10 + math.min(#sends, last)])
end

local function wait()
  local till = now
  if #sends > 0 then
    till = math.max(till, sends[1] + rest())
  end
  if sends[short_max] then
    till = math.max(till, sends[short_max] + short)
  end
  if sends[long_max] then
    till = math.max(till, sends[long_max] + long)
  end
  return till - now
end

local early = wait()
if early > 0 then
  return { early, early }
end

table.insert(sends, 1, now)
redis.call('DEL', KEYS[1], KEYS[2])
for _, at in ipairs(sends) do
  redis.call('RPUSH', KEYS[1], string.format('%.0f', at))
end
redis.call('PEXPIRE', KEYS[1], long)
redis.call('HSET', KEYS[2], 'challenge', ARGV[3], 'key', ARGV[4], 'hash', ARGV[5], 'rest', ARGV[6], 'tries', 0,
  'until', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('SADD', KEYS[3], KEYS[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return { 0, wait() }

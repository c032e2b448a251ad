#!lua flags=allow-oom
-- Take tokens from a bucket that refills steadily. It is kept as one moment: when it will be full again.
-- KEYS  1 bucket
-- ARGV  1 shift ms  2 µs per token  3 burst: tokens of a full bucket  4 tokens wanted  5 tokens to leave in it
-- Answers {tokens granted: some or none, ms until there are as many as wanted (0 when some were granted)}.

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2] + tonumber(ARGV[1]) * 1000
local each = tonumber(ARGV[2])
local burst = tonumber(ARGV[3])

local noted = tonumber(redis.call('GET', KEYS[1]) or 0)
local full_at = math.max(now, noted)
local wanted = tonumber(ARGV[4])
local reserve = tonumber(ARGV[5])

-- %.0f: Lua's own conversion keeps 14 digits, and µs since the epoch have 16.
local function note()
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
end

if full_at > now + burst * each then
  -- Emptier than empty: the clock was set back. An empty bucket it is.
  full_at = now + burst * each
  note()
end

local granted = math.min(wanted, math.floor(burst - reserve - (full_at - now) / each))
if granted < 1 then
  -- Whoever asks for many is under load: one question for all of them is worth more than the first at once.
  return { 0, math.ceil((full_at - now - (burst - reserve - wanted) * each) / 1000) }
end

full_at = full_at + granted * each
note()
return { granted, 0 }

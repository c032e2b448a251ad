#!lua flags=no-writes
-- How full a shard is.
-- KEYS  1 box  2 journal  3 dead  4.. the ready key of each kind
-- ARGV  1 shift ms  2 lease ms  3 most lanes to look at
-- Answers {journal lines, dead letters, then per kind: lanes due, lanes leased, ms since the oldest fell due}.

local now = now_ms(ARGV[1])

local out = { redis.call('LLEN', KEYS[2]), redis.call('HLEN', KEYS[3]) }
for i = 4, #KEYS do
  -- A lease ends within its length from now, so timers that are far away need not be looked at.
  local near = redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. now, now + tonumber(ARGV[2]), 'LIMIT', 0, ARGV[3])
  local leased = 0
  for _, lane in ipairs(near) do
    local m = read(KEYS[1], lane)
    if m and m.token > 0 then
      leased = leased + 1
    end
  end

  local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  out[#out + 1] = redis.call('ZCOUNT', KEYS[i], '-inf', now)
  out[#out + 1] = leased
  out[#out + 1] = math.max(0, now - tonumber(oldest[2] or now))
end
return out

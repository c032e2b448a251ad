#!lua
-- Delivery statuses: a proof for each item that is still in its lane. An item in doubt is woken by its proof.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms, then per status: lane, number, k, proof
-- Answers the number of proofs kept.

local now = now_ms(ARGV[1])

local kept = 0
for a = 2, #ARGV, 4 do
  local lane, k = ARGV[a], ARGV[a + 2]
  local item = redis.call('HGET', KEYS[1], 'i:' .. lane .. ':' .. k)
  if item and opened(item) == ARGV[a + 1] then
    redis.call('HSET', KEYS[1], 'd:' .. lane .. ':' .. k, ARGV[a + 3])
    local m = read(KEYS[1], lane)
    if m.token == DOUBTED and tonumber(k) == m.head then
      redis.call('ZADD', KEYS[2], now, lane)
    end
    kept = kept + 1
  end
end
return kept

#!lua flags=no-writes
-- Look at one lane without touching it.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 lane  3 most items to show
-- Answers {ms until it is due or false, token, tries, tail, base, head, proof, state, item...}, token to head being
-- 0 0 0 '' 0 for an idle lane.

local lane = ARGV[2]
local m = read(KEYS[1], lane) or { token = FREE, base = '', head = 0, tail = 0, tries = 0 }

local id = lane .. ':' .. m.base .. '-'
local wanted = { 'd:' .. id .. m.head, 's:' .. lane }
for k = m.head, math.min(m.tail, m.head + tonumber(ARGV[3])) - 1 do
  wanted[#wanted + 1] = 'i:' .. id .. k
end

local due = redis.call('ZSCORE', KEYS[2], lane)
return {
  due and tonumber(due) - now_ms(ARGV[1]),
  m.token, m.tries, m.tail, m.base, m.head,
  unpack(redis.call('HMGET', KEYS[1], unpack(wanted))),
}

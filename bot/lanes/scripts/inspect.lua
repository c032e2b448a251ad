#!lua flags=no-writes
-- Look at one lane without touching it.
-- KEYS  1 box  2 ready
-- ARGV  1 shift ms  2 lane  3 most items to show
-- Answers {ms until it is due or false, token, tries, tail, head, proof, state, item...}, token to head being 0 for an
-- idle lane.

local lane = ARGV[2]
local m = read(KEYS[1], lane) or fresh()
local due = redis.call('ZSCORE', KEYS[2], lane)
return {
  due and tonumber(due) - now_ms(ARGV[1]),
  m.token, m.tries, m.tail, m.head,
  unpack(seen(KEYS[1], lane, m, tonumber(ARGV[3]))),
}

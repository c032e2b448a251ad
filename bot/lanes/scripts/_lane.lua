-- What the scripts of the lanes share. It is put between a script's first line and the rest of it.
--
-- A SHARD is a few fixed keys under one hash tag. Its box is a hash of
--   m:<lane>      "token head tail tries": only while the lane has items, is leased or rests
--   i:<lane>:<k>  a waiting item, head <= k < tail: "number body"; <lane>:<number>-<k> is its id, never used again
--   d:<lane>:<k>  proof from outside that a waiting item took effect (see confirm.lua)
--   s:<lane>      the lane's state, opaque here; an idle lane is this field and nothing else
--   #             the last number given, to tokens and items
--   trimmed       how many lines ever left the journal (see journal_trim.lua)
-- Its ready key, one per kind of lane, is a sorted set: lane -> when it may next be claimed, in ms since
-- the epoch. That is queue, lease, back-off and timer at once, so there is nothing to reap.
--
-- Every script that makes room carries the flag allow-oom: a full store still drains.

-- The token of a lane: > 0 leased under that number, or one of these.
local FREE = 0
local RESTS = -1
local DOUBTED = -2  -- rests, and its head may have taken effect

local function now_ms(shift)
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(shift)
end

-- The number of this run of a script: no other run gave it, in no earlier life of the store. It is the time in tenths of
-- a ms since the epoch, or just after the last one. A failover takes the shard back by what the replica had not heard
-- yet; a mere counter would then give the same numbers again, and a worker or a status of before would be taken for one
-- of after. Finer than that, Lua would no longer write it in full.
local given
local function number(box)
  if not given then
    local t = redis.call('TIME')
    local last = tonumber(redis.call('HGET', box, '#') or 0)
    given = math.max(last + 1, t[1] * 10000 + math.floor(t[2] / 100))
    redis.call('HSET', box, '#', given)
  end
  return given
end

local function read(box, lane)
  local m = redis.call('HGET', box, 'm:' .. lane)
  if not m then
    return nil
  end

  local token, head, tail, tries = string.match(m, '^(%-?%d+) (%d+) (%d+) (%d+)$')
  return {
    token = tonumber(token),
    head = tonumber(head),
    tail = tonumber(tail),
    tries = tonumber(tries),
  }
end

local function fresh()
  return { token = FREE, head = 0, tail = 0, tries = 0 }
end

local function packed(m)
  return m.token .. ' ' .. m.head .. ' ' .. m.tail .. ' ' .. m.tries
end

-- The number and the body of an item as it lies in the box.
local function opened(item)
  local space = string.find(item, ' ', 1, true)
  return string.sub(item, 1, space - 1), string.sub(item, space + 1)
end

-- What a holder sees of a lane: {proof of its head, state, item...}.
local function seen(box, lane, m, most)
  local wanted = { 'd:' .. lane .. ':' .. m.head, 's:' .. lane }
  for k = m.head, math.min(m.tail, m.head + most) - 1 do
    wanted[#wanted + 1] = 'i:' .. lane .. ':' .. k
  end
  return redis.call('HMGET', box, unpack(wanted))
end

-- Leases the lane. Answers {lane, token, was, tries, head, proof, state, item...}.
local function take(box, ready, lane, m, token, till, most)

  local was = m.token
  m.token = token
  m.tries = m.tries + 1
  redis.call('HSET', box, 'm:' .. lane, packed(m))
  redis.call('ZADD', ready, till, lane)
  return { lane, token, was, m.tries, m.head, unpack(seen(box, lane, m, most)) }
end

-- Appends one item. A free lane becomes ready, or is leased at once when lease > 0.
-- Answers what take answers, or false when the item waits.
local function append(box, ready, lane, body, now, lease, most)
  local m = read(box, lane) or fresh()
  local item, value = 'i:' .. lane .. ':' .. m.tail, number(box) .. ' ' .. body
  m.tail = m.tail + 1

  if lease > 0 and m.token == FREE then
    redis.call('HSET', box, item, value)
    return take(box, ready, lane, m, number(box), now + lease, most)
  end

  redis.call('HSET', box, item, value, 'm:' .. lane, packed(m))
  -- A lane that rests is not woken by new items: an outage would become a hot loop.
  if m.token == FREE then
    redis.call('ZADD', ready, 'LT', now, lane)
  end
  return false
end

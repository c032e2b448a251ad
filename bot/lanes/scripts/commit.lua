#!lua flags=allow-oom
-- End a lease: consumed items, new state, pushes into other lanes of the shard, journal, next wake, release.
-- All of it, or nothing. With a reason why, the consumed items become dead letters ("bury").
-- KEYS  1 box  2 ready  3 journal  4 dead  5.. the ready key of each push
-- ARGV  1 shift ms  2 lane  3 token  4 items consumed  5 why ('' = they are done)
--       6 keep | drop | set  7 the state to set  8 wake, ms since the epoch (0 = none)
--       9 lease ms  10 most items to show of a taken lane  11 number of journal lines
--       12 number of items that the holder saw, then the lines, then per push: lane, body, take (0 | 1)
-- Answers stale, or {items left, {taken...}...}: the pushed lanes that are leased to the caller.

local box, ready, lane, why = KEYS[1], KEYS[2], ARGV[2], ARGV[5]
local now = now_ms(ARGV[1])
local used = tonumber(ARGV[4])
local wake = tonumber(ARGV[8])
local lease = tonumber(ARGV[9])
local most = tonumber(ARGV[10])
local lines = tonumber(ARGV[11])

local m = read(box, lane)
if not m or m.token ~= tonumber(ARGV[3]) or used > m.tail - m.head then
  return 'stale'
end
if #ARGV - 12 - lines ~= 3 * (#KEYS - 4) then
  return redis.error_reply('ERR commit: keys and pushes differ')
end

local gone, set = {}, {}
for k = m.head, m.head + used - 1 do
  local item = 'i:' .. lane .. ':' .. k
  if why ~= '' then
    local number, body = opened(redis.call('HGET', box, item))
    redis.call('HSET', KEYS[4], lane .. ':' .. number .. '-' .. k, now .. ' ' .. m.tries .. ' ' .. why .. '\n' .. body)
  end
  gone[#gone + 1] = item
  gone[#gone + 1] = 'd:' .. lane .. ':' .. k
end

m.head = m.head + used
m.token = FREE
-- Giving a lane back without having consumed anything is no attempt.
m.tries = used > 0 and 0 or math.max(0, m.tries - 1)

if ARGV[6] == 'set' then
  set = { 's:' .. lane, ARGV[7] }
elseif ARGV[6] == 'drop' then
  gone[#gone + 1] = 's:' .. lane
end

local left = m.tail - m.head
local due = now
if wake > 0 and (left == 0 or used == 0) then
  due = wake
elseif left == 0 then
  due = nil
end
if left > 0 and tonumber(ARGV[12]) == 0 then
  -- It came by time alone, and whatever lies there came meanwhile: that waits for no timer.
  due = now
end

if left == 0 then
  gone[#gone + 1] = 'm:' .. lane
else
  set[#set + 1] = 'm:' .. lane
  set[#set + 1] = packed(m)
end

if #gone > 0 then
  redis.call('HDEL', box, unpack(gone))
end
if #set > 0 then
  redis.call('HSET', box, unpack(set))
end
if due then
  redis.call('ZADD', ready, due, lane)
else
  redis.call('ZREM', ready, lane)
end
if lines > 0 then
  redis.call('RPUSH', KEYS[3], unpack(ARGV, 13, 12 + lines))
end

local out = { left }
local a = 13 + lines
for i = 5, #KEYS do
  local taken = append(box, KEYS[i], ARGV[a], ARGV[a + 1], now, ARGV[a + 2] == '1' and lease or 0, most)
  if taken then
    out[#out + 1] = taken
  end
  a = a + 3
end
return out

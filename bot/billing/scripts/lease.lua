#!lua flags=allow-oom
-- Lease messages from a firm's budget of a month. What is counted since the month began (`spent`, in points, and `free:…`, in
-- messages) plus a correction (`…:base`, see settle.lua) is what is gone.
-- KEYS  1 month: hash
-- ARGV  1 messages wanted  2 points a message  3 points up to which may be spent  4 field of the free messages, or ''
--       5 how many of them there are  6 of what is left, a lease takes at most this part  7 seconds to remember the month
-- Answers {messages granted, points gone after it}. Granted are free ones as long as there are any.

local function gone(field)
  local count, base = unpack(redis.call('HMGET', KEYS[1], field, field .. ':base'))
  return tonumber(count or 0) + tonumber(base or 0)
end

-- %.0f: Lua's own conversion keeps 14 digits.
local function take(field, n)
  redis.call('HINCRBY', KEYS[1], field, string.format('%.0f', n))
  redis.call('EXPIRE', KEYS[1], ARGV[7])
end

local wanted, price, part = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[6])

-- The nearer the end the smaller the leases: nobody shall hold what another is refused.
local function share(left)
  return math.min(wanted, left, math.max(1, math.floor(left / part)))
end

if ARGV[4] ~= '' then
  local free = tonumber(ARGV[5]) - gone(ARGV[4])
  if free >= 1 then
    local granted = share(free)
    take(ARGV[4], granted)
    return { granted, gone('spent') }
  end
end

local spent = gone('spent')
local left = price > 0 and math.floor((tonumber(ARGV[3]) - spent) / price) or wanted
if left < 1 then
  return { 0, spent }
end
local granted = share(left)
take('spent', granted * price)
return { granted, spent + granted * price }

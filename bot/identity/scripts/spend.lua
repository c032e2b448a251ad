#!lua
-- Let a code be paid for, unless a cap says no, or the codes to its block of numbers are hardly ever typed in.
-- KEYS  1 day: hash of counts of this day  2 hour: hash of counts of this hour  3 the hour before
-- ARGV  1 field of the tenant, empty for none  2 field of the block  3 most of a tenant  4 most of all  5 most money, millionths
--       6 what this one costs, millionths  7 codes to a block from which on it is judged  8 least that is typed in, percent
-- Answers '' = it may go, else which said no: tenant | all | money | block.

local function count(key, field)
  return tonumber(redis.call('HGET', key, field) or 0)
end

if count(KEYS[1], 'all') >= tonumber(ARGV[4]) then
  return 'all'
end
if count(KEYS[1], 'money') + tonumber(ARGV[6]) > tonumber(ARGV[5]) then
  return 'money'
end
if ARGV[1] ~= '' and count(KEYS[1], 'tenant:' .. ARGV[1]) >= tonumber(ARGV[3]) then
  return 'tenant'
end

local sent = count(KEYS[2], 'sent:' .. ARGV[2]) + count(KEYS[3], 'sent:' .. ARGV[2])
local used = count(KEYS[2], 'used:' .. ARGV[2]) + count(KEYS[3], 'used:' .. ARGV[2])
if sent >= tonumber(ARGV[7]) and used * 100 < sent * tonumber(ARGV[8]) then
  return 'block'
end

redis.call('HINCRBY', KEYS[1], 'all', 1)
redis.call('HINCRBY', KEYS[1], 'money', ARGV[6])
if ARGV[1] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'tenant:' .. ARGV[1], 1)
end
redis.call('PEXPIRE', KEYS[1], 2 * 86400000)
redis.call('HINCRBY', KEYS[2], 'sent:' .. ARGV[2], 1)
redis.call('PEXPIRE', KEYS[2], 3 * 3600000)
return ''

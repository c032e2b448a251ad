#!lua
-- A code to a block of numbers was typed in.
-- KEYS  1 hour: see spend.lua
-- ARGV  1 field of the block

redis.call('HINCRBY', KEYS[1], 'used:' .. ARGV[1], 1)
redis.call('PEXPIRE', KEYS[1], 3 * 3600000)
return 1

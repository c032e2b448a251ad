#!lua flags=allow-oom
-- Take a chore, unless somebody has it. A full store must not keep the journal's writer, who empties it, from its turn.
-- KEYS  1 chore
-- ARGV  1 for how long, ms
-- Answers 1, or 0 = somebody has it.

if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then
  return 1
end
return 0

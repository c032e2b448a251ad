#!lua flags=no-writes
-- Read the oldest lines of the journal, with the position that trimming them asks for.
-- KEYS  1 box  2 journal
-- ARGV  1 most lines
-- Answers {position, {line...}}.

local position = tonumber(redis.call('HGET', KEYS[1], 'trimmed') or 0)
return { position, redis.call('LRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1) }

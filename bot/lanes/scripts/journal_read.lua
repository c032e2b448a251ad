#!lua flags=no-writes
-- Read the oldest lines of the journal, with the position that trimming them asks for.
-- KEYS  1 box  2 journal
-- ARGV  1 most lines  2 most bytes; the first line is answered whatever its length
-- Answers {position, {line...}}.

local position = tonumber(redis.call('HGET', KEYS[1], 'trimmed') or 0)
local lines = redis.call('LRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1)

local left = tonumber(ARGV[2])
for n, line in ipairs(lines) do
  left = left - #line
  if left < 0 and n > 1 then
    return { position, { unpack(lines, 1, n - 1) } }
  end
end
return { position, lines }

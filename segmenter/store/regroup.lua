-- Count up the number of the group in which workers meet, if it still is the one given.
-- KEYS: meta   ARGV: the number as last seen ('' for none yet)
if (redis.call('HGET', KEYS[1], 'group') or '') == ARGV[1] then redis.call('HINCRBY', KEYS[1], 'group', 1) end

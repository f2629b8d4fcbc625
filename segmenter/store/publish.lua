-- Publish a generation if the one it follows is still current. Answers 1 if it is current afterwards.
-- KEYS: model   ARGV: digest of the generation it follows ('' for none), its digest, number, JSON, names (JSON by slug), number to drop
local current = redis.call('HGET', KEYS[1], 'digest') or ''
if current == ARGV[2] then return 1 end
if current ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4], 'current', ARGV[3], 'digest', ARGV[2], 'names', ARGV[5])
redis.call('HDEL', KEYS[1], ARGV[6])
return 1

-- Acquire a shard: no earlier owner can write from now on. Answers all its fields.
-- KEYS: shard   ARGV: the new owner's token
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '') or 0
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', string.format('%.0f', version + 1))
return redis.call('HGETALL', KEYS[1])

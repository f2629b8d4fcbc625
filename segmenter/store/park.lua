-- Mark a shard as parked, and say why. Answers ok; or not owner.
-- KEYS: shard   ARGV: token, why
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'not owner' end
redis.call('HSET', KEYS[1], 'parked', ARGV[2])
return 'ok'

-- Take a shard over: no earlier owner can write from now on. Answers all its fields.
-- KEYS: shard   ARGV: the new owner's token
local held = redis.call('HMGET', KEYS[1], 'version', 'begun', 'dirty')
local version = tonumber(held[1] or '') or 0
if not string.match(held[2] or '', '^%d+$') then -- 0.1.0 had a mark instead
  local dirty = held[2] or held[3] == '1'
  redis.call('HSET', KEYS[1], 'begun', string.format('%.0f', version + (dirty and 1 or 0)))
  redis.call('HDEL', KEYS[1], 'dirty')
end
redis.call('HINCRBY', KEYS[1], 'begun', '1')
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', string.format('%.0f', version + 1))
return redis.call('HGETALL', KEYS[1])

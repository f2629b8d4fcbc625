-- The current generation's JSON, or nothing.
-- KEYS: model
local current = redis.call('HGET', KEYS[1], 'current')
return current and redis.call('HGET', KEYS[1], current)

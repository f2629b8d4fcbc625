-- Take a shard over: no earlier owner can write from now on. Answers all its fields.
-- A shard whose number of writes cannot be read is dirty, and so is one that 0.1.0 has marked so.
-- KEYS: shard   ARGV: the new owner's token
local function count(text)
  local number = tonumber(text or '')
  if number and number >= 0 and number < 2 ^ 53 and string.format('%.0f', number) == text then return number end
end

local held = redis.call('HMGET', KEYS[1], 'version', 'begun', 'dirty')
local version, begun = count(held[1]), count(held[2])
if not begun or held[1] and not version then
  local dirty = held[2] or held[3] == '1' or held[1] and not version
  begun = (version or 0) + (dirty and 1 or 0)
  redis.call('HSET', KEYS[1], 'begun', string.format('%.0f', begun))
  redis.call('HDEL', KEYS[1], 'dirty')
end
redis.call('HINCRBY', KEYS[1], 'begun', '1')
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', string.format('%.0f', (version or 0) + 1))
return redis.call('HGETALL', KEYS[1])

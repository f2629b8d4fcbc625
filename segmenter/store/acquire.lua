-- Take a shard over: no earlier owner can write from now on. Answers all its fields.
-- A shard whose number of writes cannot be right is dirty, and so is one that 0.1.0 has marked so.
-- KEYS: shard, meta   ARGV: the new owner's token, the number of the group that assigned it ('' for the first), or any
-- Answers nothing if the workers have moved to another group.
local function count(text)
  local number = string.match(text or '', '^%d+$') and tonumber(text)
  if number and number < 2 ^ 53 and string.format('%.0f', number) == text then return number end
end

if ARGV[2] ~= 'any' and (redis.call('HGET', KEYS[2], 'group') or '') ~= ARGV[2] then return {} end
local held = redis.call('HMGET', KEYS[1], 'version', 'begun', 'dirty')
local version, begun = count(held[1] or '0'), count(held[2])
local wrong = not version or held[2] and not begun
version = version or 0
if wrong or (begun or 0) < version then
  local dirty = wrong or begun or held[3] == '1'
  redis.call('HSET', KEYS[1], 'begun', string.format('%.0f', version + (dirty and 1 or 0)))
  redis.call('HDEL', KEYS[1], 'dirty')
end
redis.call('HINCRBY', KEYS[1], 'begun', '1')
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', string.format('%.0f', version + 1), 'acquired_ms',
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)))
return redis.call('HGETALL', KEYS[1])

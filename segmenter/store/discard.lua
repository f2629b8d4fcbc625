-- Remove what cannot be read of a shard, unless it has changed: keys of another type, then fields of the shard.
-- KEYS: shard, its other keys   ARGV: the type that each key must have, then each field that cannot be read and its
--       value; '' in the place of a value removes the field whatever it holds
-- Answers ok; or changed (no field was removed). Without its key or its census the shard is dirty.
for index, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= ARGV[index] then
    redis.call('DEL', key)
    if index == 1 then redis.call('HSET', key, 'begun', '1', 'parked', 'its key was of another type') end
  end
end
for index = #KEYS + 1, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[1], ARGV[index])
  if ARGV[index + 1] ~= '' and held ~= ARGV[index + 1] then return 'changed' end
end
for index = #KEYS + 1, #ARGV, 2 do
  if ARGV[index] == 'census' then redis.pcall('HINCRBY', KEYS[1], 'begun', '1') end
  redis.call('HDEL', KEYS[1], ARGV[index])
end
return 'ok'

-- The owner is alive, works on the shard, and sees it as it left it. Writes no state, so the version stays.
-- KEYS: shard   ARGV: token, version, when the owner asked where the log ends ('' if nobody answered), the latest
--       moment of which the shard holds all that the log did ('' if there is no news), begun, what the owner knows
--       ('' if it does not say); times are by this clock
local owner = redis.call('HMGET', KEYS[1], 'token', 'version', 'begun')
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or owner[3] ~= ARGV[5] then
  if not owner[1] then return 'rolled back' end
  redis.call('HINCRBY', KEYS[1], 'fenced', '1')
  local older = (tonumber(owner[2] or '') or 0) < tonumber(ARGV[2])
  return (owner[1] == ARGV[1] or older) and 'rolled back' or 'not owner'
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'beat_ms', string.format('%.0f', now), 'parked', '')
for name, news in pairs({log_seen_ms = ARGV[3], caught_up_ms = ARGV[4], known = ARGV[6]}) do
  if news ~= '' then redis.call('HSET', KEYS[1], name, news) end
end
return 'ok'

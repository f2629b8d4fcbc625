-- Write one batch of a shard: rows, audiences, change feed, and the shard's own fields, among them the offsets.
-- A crash leaves all of it or nothing. An error in the middle does not, nor does a Redis that loads a file which was cut
-- within a commit, goes on with it, and loads it again: it then applies the first half of the lost commit. So the first
-- write counts up `begun`, and the last one sets the version and the offsets. A shard where these two differ is dirty: it
-- is recounted from its rows when it is acquired. The last part of a recount makes `begun` the version again.
--
-- KEYS: shard, model, feed, the audiences, the users' rows, the rows to remove
-- ARGV: token, version, next version, offsets the batch starts from ('' for none), digest of the judging generation,
--       number of audiences, length to keep of the feed, number of shard fields, number of rows to write, begun,
--       what to add to it besides,
--       then the shard's fields (name, value), then five values per row,
--       then for each audience how many leave, which, how many join, which, then seven values per feed entry
-- Answers ok; done (this very batch was written before); not owner; rolled back; or superseded (judged by another generation).
local ROW = {'segment', 'generation', 'profile', 'offsets', 'vector'}
local owner = redis.call('HMGET', KEYS[1], 'token', 'version', 'offsets', 'begun')
if owner[1] == ARGV[1] and owner[2] == ARGV[3] then return 'done' end
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or (owner[3] or '') ~= ARGV[4] or owner[4] ~= ARGV[10] then
  if not owner[1] then return 'rolled back' end
  redis.call('HINCRBY', KEYS[1], 'fenced', '1')
  local older = (tonumber(owner[2] or '') or 0) < tonumber(ARGV[2])
  return (owner[1] == ARGV[1] or older) and 'rolled back' or 'not owner'
end
if (redis.call('HGET', KEYS[2], 'digest') or '') ~= ARGV[5] then return 'superseded' end

local audiences, maxlen, fields, rows = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local at = 12 + 2 * fields

redis.call('HINCRBY', KEYS[1], 'begun', '1')
for key = 4 + audiences, 3 + audiences + rows do
  redis.call('HSET', KEYS[key], ROW[1], ARGV[at], ROW[2], ARGV[at + 1], ROW[3], ARGV[at + 2],
    ROW[4], ARGV[at + 3], ROW[5], ARGV[at + 4])
  at = at + 5
end
for key = 4 + audiences + rows, #KEYS do
  redis.call('DEL', KEYS[key])
end
for key = 4, 3 + audiences do
  for _, command in ipairs({'SREM', 'SADD'}) do
    local last = at + tonumber(ARGV[at])
    for first = at + 1, last, 1000 do
      redis.call(command, KEYS[key], unpack(ARGV, first, math.min(first + 999, last)))
    end
    at = last + 1
  end
end
for entry = at, #ARGV, 7 do
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', maxlen, '*', 'n', ARGV[entry], 'user', ARGV[entry + 1],
    'from', ARGV[entry + 2], 'to', ARGV[entry + 3], 'cause', ARGV[entry + 4],
    'generation', ARGV[entry + 5], 'cut', ARGV[entry + 6])
end
if ARGV[11] ~= '0' then redis.call('HINCRBY', KEYS[1], 'begun', ARGV[11]) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'committed_ms',
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  unpack(ARGV, 12, 11 + 2 * fields))
return 'ok'

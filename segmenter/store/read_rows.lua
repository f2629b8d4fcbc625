-- The rows of some users, five values each, nothing in the place of a value that is not there.
-- KEYS: the users' rows
local rows = {}
for index, key in ipairs(KEYS) do
  rows[index] = redis.call('HMGET', key, 'segment', 'generation', 'profile', 'offsets', 'vector')
end
return rows

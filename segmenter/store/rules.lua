-- Replace the rules of the store, if they still are the ones given, and on request move the workers to a new group.
-- KEYS: meta   ARGV: the rules as last seen, the new rules, 1 to count up the number of the group
if redis.call('HGET', KEYS[1], 'rules') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'rules', ARGV[2])
if ARGV[3] == '1' then redis.call('HINCRBY', KEYS[1], 'group', '1') end
return 1

-- Puts the recording of a session on the lists. A repeated call changes nothing.
--
-- KEYS 1 rows of the lists, 2.. the lists that it belongs to
-- ARGV 1 session, 2 end of the session [ms], 3 its row, JSON
-- Returns {OK}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
for i = 2, #KEYS do
    redis.call('ZADD', KEYS[i], ARGV[2], ARGV[1])
end
return {'OK'}

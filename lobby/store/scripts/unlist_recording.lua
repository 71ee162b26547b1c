-- Takes the recording of a session off the lists, if its row is still the one that the caller read: the row names its
-- lists.
--
-- KEYS 1 rows of the lists, 2.. the lists that it belongs to
-- ARGV 1 session, 2 its row, JSON
-- Returns {OK, 1} | {OK, 0}: it has no row, or another one
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
    return {'OK', '0'}
end
for i = 2, #KEYS do
    redis.call('ZREM', KEYS[i], ARGV[1])
end
redis.call('HDEL', KEYS[1], ARGV[1])
return {'OK', '1'}

-- Releases the lock of a frame if it has this token.
--
-- KEYS 1 lock of the frame
-- ARGV 1 token
-- Returns {OK, 1} | {OK, 0}: it is not held with this token
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return {'OK', '0'}
end
redis.call('DEL', KEYS[1])
return {'OK', '1'}

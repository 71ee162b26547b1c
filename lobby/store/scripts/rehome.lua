--@include lifecycle
-- Assigns a waiting lobby whose holder is dead to another holder.
--
-- KEYS 1 session, 2 lease of the old holder
-- ARGV 1 old holder, 2 its nonce, 3 new holder, 4 its nonce, 5 its url
-- Returns {OK, 1} | {OK, 0}: it no longer waits, another server took it, or the old holder is alive
local session_key, lease_key = KEYS[1], KEYS[2]
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce')
if not WAITING[about[1]] or about[2] ~= ARGV[1] or about[3] ~= ARGV[2] then
    return {'OK', '0'}
end
if redis.call('HGET', lease_key, 'nonce') == ARGV[2] then
    return {'OK', '0'}
end
redis.call('HSET', session_key, 'holder', ARGV[3], 'holder_nonce', ARGV[4], 'holder_url', ARGV[5])
return {'OK', '1'}

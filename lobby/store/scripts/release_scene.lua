--@include lifecycle
-- Removes a session that is over, or that does not exist, from its scene. The scene is deleted with its last session.
--
-- KEYS 1 scene, 2 session
-- ARGV 1 session token
-- Returns {OK, 1}: the scene is deleted | {OK, 0}
local scene_key, session_key = KEYS[1], KEYS[2]
local status = redis.call('HGET', session_key, 'status')
if status and not ENDED[status] then
    return {'OK', '0'}
end
redis.call('HDEL', scene_key, ARGV[1])
if redis.call('HLEN', scene_key) > 1 then
    return {'OK', '0'}
end
redis.call('DEL', scene_key)
return {'OK', '1'}

--@include lifecycle
-- Makes the final group the recording of a session that is over. A repeated call changes nothing.
--
-- KEYS 1 session, 2 recording
-- ARGV 1 SHA-256 of the state that the group was made from, 2 SHA-256 of the group's metadata
-- Returns {OK, 1} | {OK, 0}: the session is not over or is gone, it has another state or another final group
local session_key, recording_key = KEYS[1], KEYS[2]
local stored = redis.call('HMGET', recording_key, 'sha256', 'final')
if not ENDED[redis.call('HGET', session_key, 'status') or ''] or stored[1] ~= ARGV[1] then
    return {'OK', '0'}
end
if stored[2] and stored[2] ~= ARGV[2] then
    return {'OK', '0'}
end
redis.call('HSET', recording_key, 'final', ARGV[2])
return {'OK', '1'}

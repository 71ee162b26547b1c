--@include lifecycle
-- Deletes the scene of a session that is over and did not even begin to start.
--
-- KEYS 1 session, 2.. every key of the scene
-- ARGV none
-- Returns {OK, 1} | {OK, 0}: nothing to do
local session_key = KEYS[1]
local about = redis.call('HMGET', session_key, 'status', 'starting_at')
if not ENDED[about[1]] or about[2] then
    return {'OK', '0'}
end
for i = 2, #KEYS do
    redis.call('DEL', KEYS[i])
end
return {'OK', '1'}

--@include scene
-- Locks a document for one connection, with a new fencing token. The same player takes over its own lock.
--
-- KEYS 1 session, 2 session player, 3 scene, 4 its bodies, 5 lock, 6 deadlines
-- ARGV 1 session token, 2 wake channel, 3 player, 4 connection, 5 body, 6 id of the world's document, 7 lifetime of the
--      lock [ms], 8 time that the lobby waits from now on [ms], 9 most time that it waits after it was opened [ms]
-- Returns {OK, token, seat} | {BEGIN}: the scene is not stored yet
--      | ERR not_found, not_member, not_editable, no_such_body, body_locked
local session_key, member_key, scene_key, bodies_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lock_key, deadlines_key = KEYS[5], KEYS[6]
local wake, player, body = ARGV[2], ARGV[3], ARGV[5]
local seat, name, refusal = read_editor(session_key, member_key)
if refusal then
    return refusal
end
if redis.call('EXISTS', scene_key) == 0 then
    return {'BEGIN'}
end
if body ~= ARGV[6] and not redis.call('ZSCORE', bodies_key, body) then
    return refuse('no_such_body', 'the scene has no body ' .. body)
end
local held, _, holder, _, holder_name = read_lock(lock_key)
if held and holder ~= player then
    return refuse('body_locked', holder_name .. ' has locked ' .. body)
end
local lock = whole(redis.call('HINCRBY', scene_key, 'locks', '1'))
redis.call('SET', lock_key, table.concat({lock, seat, player, ARGV[4], name}, ' '), 'PX', ARGV[7])
keep_waiting(session_key, deadlines_key, ARGV[1], ARGV[8], ARGV[9])
publish_lock(wake, body, seat)
return {'OK', lock, seat}

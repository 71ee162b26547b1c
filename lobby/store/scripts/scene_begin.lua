--@include scene
-- Stores the first version of a scene, before its first edit or lock. A repeated call changes nothing.
--
-- KEYS 1 session, 2 scene, 3 its bodies, 4 document of the world, 5.. document of each body
-- ARGV 1 SHA-256 of the world's document, 2 the document, then for each body: id, SHA-256, document, vertices
-- Returns {OK, 1} | {OK, 0}: it exists | ERR not_found, not_editable
local session_key, scene_key, bodies_key, world_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local status = redis.call('HGET', session_key, 'status')
if not status then
    return refuse('not_found', 'no such session')
end
if not WAITING[status] then
    return refuse('not_editable', 'the scene of a session that is ' .. status .. ' cannot be edited')
end
if redis.call('EXISTS', scene_key) == 1 then
    return {'OK', '0'}
end
local size, vertices, order = string.len(ARGV[2]), 0, 0
redis.call('HSET', world_key, 'version', '1', 'made', '1', 'sha256', ARGV[1], 'doc', ARGV[2], 'vertices', '0')
for i = 5, #KEYS do
    local body_key = KEYS[i]
    local at = 3 + 4 * (i - 5)
    order = order + 1
    size = size + string.len(ARGV[at + 2])
    vertices = vertices + tonumber(ARGV[at + 3])
    redis.call('HSET', body_key, 'version', '1', 'made', '1', 'sha256', ARGV[at + 1], 'doc', ARGV[at + 2],
        'vertices', ARGV[at + 3])
    redis.call('ZADD', bodies_key, whole(order), ARGV[at])
end
redis.call('HSET', scene_key, 'version', '1', 'order', whole(order), 'bytes', whole(size), 'vertices', whole(vertices),
    'locks', '0', 'log_bytes', '0')
return {'OK', '1'}

--@include scene
-- Reads documents of a scene, all at one version, and who has locked them.
--
-- KEYS 1 session, 2 scene, then for each document: document, lock
-- ARGV 1 version of the scene that has exactly these documents, 2 '1': with their content
-- Returns {CHANGED}: the scene has another version, or is gone
--      | {OK, status, bytes, vertices, then for each document: version, SHA-256, seat that has locked it or '', content
--      or ''}
local session_key, scene_key = KEYS[1], KEYS[2]
local scene = redis.call('HMGET', scene_key, 'version', 'bytes', 'vertices')
if scene[1] ~= ARGV[1] then
    return {'CHANGED'}
end
local reply = {'OK', redis.call('HGET', session_key, 'status') or '', scene[2], scene[3]}
for i = 3, #KEYS, 2 do
    local document_key, lock_key = KEYS[i], KEYS[i + 1]
    local document = redis.call('HMGET', document_key, 'version', 'sha256')
    local _, seat = read_lock(lock_key)
    reply[#reply + 1] = document[1]
    reply[#reply + 1] = document[2]
    reply[#reply + 1] = seat or ''
    reply[#reply + 1] = ARGV[2] == '1' and redis.call('HGET', document_key, 'doc') or ''
end
return reply

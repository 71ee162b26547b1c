--@include clock
-- Forgets a mesh that was not used for long. One that waits to be made is kept.
--
-- KEYS 1 mesh, 2 index of meshes, 3 use
-- ARGV 1 SHA-256, 2 forget it only if its last use was before this time [ms]
-- Returns {OK, 1} | {OK, 0}: it is kept
local mesh_key, index_key, use_key = KEYS[1], KEYS[2], KEYS[3]
local used = redis.call('ZSCORE', index_key, ARGV[1])
if used and tonumber(used) >= tonumber(ARGV[2]) then
    return {'OK', '0'}
end
local known = redis.call('HMGET', mesh_key, 'state', 'bytes')
if known[1] == 'queued' or known[1] == 'working' then
    return {'OK', '0'}
end
if known[2] and known[2] ~= '0' then
    redis.call('HINCRBY', use_key, 'bytes', '-' .. known[2])
end
redis.call('DEL', mesh_key)
redis.call('ZREM', index_key, ARGV[1])
return {'OK', '1'}

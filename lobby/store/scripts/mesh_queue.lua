--@include mesh
-- Queues the job of an upload whose file is stored.
--
-- KEYS 1 mesh of the upload, 2 stream of jobs, 3 use
-- ARGV 1 SHA-256
-- Returns {OK, state}
local mesh_key, stream_key, use_key = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', mesh_key, 'state', 'player')
if known[1] ~= 'storing' then
    return {'OK', known[1] or ''}
end
redis.call('HSET', mesh_key, 'state', 'queued')
redis.call('HINCRBY', use_key, 'jobs.' .. known[2], '1')
redis.call('XADD', stream_key, '*', 'mesh', ARGV[1])
show_mesh(mesh_key, ARGV[1])
return {'OK', 'queued'}

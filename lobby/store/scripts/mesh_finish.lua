--@include mesh
-- Ends a job: the mesh is ready, or refused. Only the newest attempt ends it, and only once.
--
-- KEYS 1 mesh of the upload, 2 stream of jobs, 3 use, 4 index of meshes, 5 the ready mesh; of a refusal, KEYS 1
-- ARGV 1 SHA-256, 2 group, 3 entry of the job, 4 number of the attempt, 5 SHA-256 of the ready mesh or '',
--      6 its bytes, 7... fields and values: of the ready mesh, or of the refusal
-- Returns {OK, 1} | {OK, 0}: another attempt has begun, or the job is done
local mesh_key, stream_key, use_key, index_key, ready_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local known = redis.call('HMGET', mesh_key, 'state', 'attempts', 'player', 'bytes')
if known[1] ~= 'working' or known[2] ~= ARGV[4] then
    return {'OK', '0'}  -- the entry is that of the newest attempt, which ends it; if that dies it is claimed again
end
local ready = ARGV[5] ~= ''
for i = 7, #ARGV, 2 do
    redis.call('HSET', mesh_key, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', mesh_key, 'state', ready and 'ready' or 'refused', 'percent', '100', 'bytes', '0')
if known[4] and known[4] ~= '0' then  -- the file of the upload is removed
    redis.call('HINCRBY', use_key, 'bytes', '-' .. known[4])
end
if ready then
    redis.call('HSET', mesh_key, 'ready', ARGV[5])
    if redis.call('EXISTS', ready_key) == 0 then
        for i = 7, #ARGV, 2 do
            redis.call('HSET', ready_key, ARGV[i], ARGV[i + 1])
        end
        redis.call('HSET', ready_key, 'state', 'ready', 'percent', '100', 'ready', ARGV[5], 'bytes', ARGV[6])
        redis.call('HINCRBY', use_key, 'bytes', ARGV[6])
    end
    redis.call('ZADD', index_key, whole(now_ms()), ARGV[5])
end
end_job(stream_key, use_key, ARGV[2], ARGV[3], known[3])
show_mesh(mesh_key, ARGV[1])
return {'OK', '1'}

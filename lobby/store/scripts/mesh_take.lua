--@include mesh
-- Begins an attempt to make a mesh. A job whose attempts are used up is refused, and one that is done is removed.
--
-- KEYS 1 mesh of the upload, 2 stream of jobs, 3 use
-- ARGV 1 SHA-256, 2 group, 3 entry of the job, 4 most attempts
-- Returns {OK, number of the attempt, format} | {OK, 0, ''}: there is nothing to do
local mesh_key, stream_key, use_key = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', mesh_key, 'state', 'format', 'player', 'bytes')
if known[1] ~= 'queued' and known[1] ~= 'working' then
    redis.call('XACK', stream_key, ARGV[2], ARGV[3])
    redis.call('XDEL', stream_key, ARGV[3])
    return {'OK', '0', ''}
end
local attempt = redis.call('HINCRBY', mesh_key, 'attempts', '1')
if attempt > tonumber(ARGV[4]) then
    redis.call('HSET', mesh_key, 'state', 'refused', 'reason', 'gave_up', 'message',
        'the process that makes the mesh died ' .. ARGV[4] .. ' times', 'percent', '100', 'bytes', '0')
    if known[4] and known[4] ~= '0' then
        redis.call('HINCRBY', use_key, 'bytes', '-' .. known[4])
    end
    end_job(stream_key, use_key, ARGV[2], ARGV[3], known[3])
    show_mesh(mesh_key, ARGV[1])
    return {'OK', '0', ''}
end
redis.call('HSET', mesh_key, 'state', 'working', 'percent', '0')
show_mesh(mesh_key, ARGV[1])
return {'OK', whole(attempt), known[2]}

--@include mesh
-- Stores and publishes the percentage of an attempt.
--
-- KEYS 1 mesh of the upload
-- ARGV 1 SHA-256, 2 number of the attempt, 3 percent
-- Returns {OK, 1} | {OK, 0}: another attempt has begun, or the job is done
local mesh_key = KEYS[1]
local known = redis.call('HMGET', mesh_key, 'state', 'attempts', 'percent')
if known[1] ~= 'working' or known[2] ~= ARGV[2] then
    return {'OK', '0'}
end
if known[3] ~= ARGV[3] then
    redis.call('HSET', mesh_key, 'percent', ARGV[3])
    show_mesh(mesh_key, ARGV[1])
end
return {'OK', '1'}

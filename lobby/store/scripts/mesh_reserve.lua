--@include mesh
-- Reserves room for an upload, before its file is stored. A known upload gets a new last use and nothing else, unless
-- it was refused and may be tried again, or its ready mesh is gone.
--
-- KEYS 1 mesh of the upload, 2 index of meshes, 3 use, 4 stream of jobs
-- ARGV 1 SHA-256, 2 bytes, 3 format, 4 player, 5 most bytes of all meshes, 6 most jobs, 7 most jobs of a player,
--      8 channel of a session that follows it, or '', 9 1: it must be made again, because what was made is gone,
--      10 most meshes
-- Returns {OK, state} | ERR mesh_store_full, meshes_busy
local mesh_key, index_key, use_key, stream_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = redis.call('HMGET', mesh_key, 'state', 'format', 'bytes', 'channels', 'reason')
local state = known[1]
local again = ARGV[9] == '1' and state == 'ready'
    or state == 'refused' and (known[2] ~= ARGV[3] or known[5] == 'gave_up' or known[5] == 'too_slow')
if state and state ~= 'storing' and not again then
    redis.call('ZADD', index_key, whole(now_ms()), ARGV[1])
    if ARGV[8] ~= '' then
        local channels = known[4] or ''
        if not string.find(channels, ARGV[8], 1, true) and string.len(channels) < 1000 then
            redis.call('HSET', mesh_key, 'channels', channels .. ' ' .. ARGV[8])
        end
        send_mesh(mesh_key, ARGV[1], ARGV[8])
    end
    return {'OK', state}
end
local jobs = tonumber(redis.call('HGET', use_key, 'jobs.' .. ARGV[4]) or '0')
if redis.call('XLEN', stream_key) >= tonumber(ARGV[6]) or jobs >= tonumber(ARGV[7]) then
    return refuse('meshes_busy', 'too many meshes wait to be made; try again')
end
if redis.call('ZCARD', index_key) >= tonumber(ARGV[10]) then
    return refuse('mesh_store_full', 'the store of meshes is full')
end
local more = tonumber(ARGV[2]) - tonumber(known[3] or '0')
if tonumber(redis.call('HGET', use_key, 'bytes') or '0') + more > tonumber(ARGV[5]) then
    return refuse('mesh_store_full', 'the store of meshes is full')
end
redis.call('HINCRBY', use_key, 'bytes', whole(more))
redis.call('HDEL', mesh_key, 'reason', 'message', 'place', 'attempts')
redis.call('HSET', mesh_key, 'state', 'storing', 'format', ARGV[3], 'bytes', ARGV[2], 'player', ARGV[4],
    'percent', '0', 'channels', ARGV[8])
redis.call('ZADD', index_key, whole(now_ms()), ARGV[1])
return {'OK', 'storing'}

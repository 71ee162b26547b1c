--@include clock
-- Makes an uploaded recording, or a new version of one, if its owner has room for it. A lock that the change needs must
-- be held with its token. Making it again with the same content changes nothing.
--
-- KEYS 1 upload, 2 index of uploads, 3 used bytes and counts, 4 session of this token, 5 its recording, then locks
-- ARGV 1 token, 2 player, 3 version that the change was made on, 0: a new upload, 4 SHA-256 of its table, 5 bytes,
--      6 frames, 7 most uploads of a player, 8 most bytes of a player, 9 most bytes of all, 10 name of the player,
--      11 title, 12 listed 0|1, 13 mode, 14 only check 0|1, then the token of each lock
-- Returns {OK, version} | ERR recording_exists, no_recording, not_own_recording, stale_version, stale_lock,
--         too_many_recordings, recordings_full
local upload_key, index_key, used_key, player = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local known = redis.call('HMGET', upload_key, 'player', 'version', 'sha256', 'bytes')
local base, bytes = tonumber(ARGV[3]), tonumber(ARGV[5])
if base == 0 and known[1] then
    if known[1] == player and known[3] == ARGV[4] then
        return {'OK', known[2]}
    end
    return refuse('recording_exists', 'there is a recording of this name already')
end
if base == 0 and redis.call('EXISTS', KEYS[4], KEYS[5]) > 0 then
    return refuse('recording_exists', 'there is a session of this name')
end
if base > 0 then
    if not known[1] then
        return refuse('no_recording', 'there is no recording of this name')
    end
    if known[1] ~= player then
        return refuse('not_own_recording', 'the recording belongs to another player')
    end
    if tonumber(known[2]) ~= base then
        return refuse('stale_version', 'the recording has version ' .. known[2])
    end
end
for i = 6, #KEYS do
    if redis.call('GET', KEYS[i]) ~= ARGV[9 + i] then
        return refuse('stale_lock', 'the lock of a frame has expired')
    end
end
local before = tonumber(known[4] or '0')
local used = redis.call('HMGET', used_key, player .. ' bytes', player .. ' count', 'bytes')
if base == 0 and tonumber(used[2] or '0') >= tonumber(ARGV[7]) then
    return refuse('too_many_recordings', 'a player has at most ' .. ARGV[7] .. ' uploaded recordings')
end
if tonumber(used[1] or '0') - before + bytes > tonumber(ARGV[8]) then
    return refuse('too_many_recordings', 'the uploaded recordings of a player have at most ' .. ARGV[8] .. ' bytes')
end
if tonumber(used[3] or '0') - before + bytes > tonumber(ARGV[9]) then
    return refuse('recordings_full', 'the server has no room for more uploaded recordings')
end
if ARGV[14] == '1' then
    return {'OK', whole(base)}
end
redis.call('HINCRBY', used_key, player .. ' bytes', whole(bytes - before))
redis.call('HINCRBY', used_key, 'bytes', whole(bytes - before))
if base == 0 then
    redis.call('HINCRBY', used_key, player .. ' count', '1')
    redis.call('HSET', upload_key, 'player', player, 'name', ARGV[10], 'title', ARGV[11], 'listed', ARGV[12],
        'mode', ARGV[13], 'made_at', whole(now_ms()))
end
local at, version = whole(now_ms()), whole(base + 1)
redis.call('HSET', upload_key, 'version', version, 'sha256', ARGV[4], 'bytes', ARGV[5], 'length', ARGV[6],
    'changed_at', at)
redis.call('ZADD', index_key, at, ARGV[1])
return {'OK', version}

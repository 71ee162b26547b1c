--@include clock
-- Removes an uploaded recording. Its files are removed by a worker, once nothing else uses them.
--
-- KEYS 1 upload, 2 index of uploads, 3 used bytes and counts
-- ARGV 1 token, 2 player, or '' for an operator, 3 newest change that is removed [ms], 0: any
-- Returns {OK, 1} | {OK, 0}: it has changed since | ERR no_recording, not_own_recording
local upload_key, used_key = KEYS[1], KEYS[3]
local known = redis.call('HMGET', upload_key, 'player', 'bytes', 'changed_at')
local player = known[1]
if not player then
    redis.call('ZREM', KEYS[2], ARGV[1])
    return refuse('no_recording', 'there is no recording of this name')
end
if ARGV[2] ~= '' and ARGV[2] ~= player then
    return refuse('not_own_recording', 'the recording belongs to another player')
end
if ARGV[3] ~= '0' and tonumber(known[3]) > tonumber(ARGV[3]) then
    return {'OK', '0'}
end
redis.call('DEL', upload_key)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HINCRBY', used_key, 'bytes', '-' .. known[2])
redis.call('HINCRBY', used_key, player .. ' bytes', '-' .. known[2])
if redis.call('HINCRBY', used_key, player .. ' count', '-1') <= 0 then
    redis.call('HDEL', used_key, player .. ' count', player .. ' bytes')
end
return {'OK', '1'}

--@include clock
-- Locks a frame of an uploaded recording for its owner, or renews the lock. Every lock has the next token.
--
-- KEYS 1 upload, 2 lock of the frame
-- ARGV 1 player, 2 token to renew, 0: a new lock, 3 lifetime [ms]
-- Returns {OK, token} | ERR no_recording, not_own_recording, frame_locked, stale_lock
local player = redis.call('HGET', KEYS[1], 'player')
if not player then
    return refuse('no_recording', 'there is no recording of this name')
end
if player ~= ARGV[1] then
    return refuse('not_own_recording', 'the recording belongs to another player')
end
local held = redis.call('GET', KEYS[2])
if ARGV[2] ~= '0' then
    if held ~= ARGV[2] then
        return refuse('stale_lock', 'the lock of the frame has expired')
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return {'OK', held}
end
if held then
    return refuse('frame_locked', 'the frame is locked')
end
local token = whole(redis.call('HINCRBY', KEYS[1], 'locks', '1'))
redis.call('SET', KEYS[2], token, 'PX', ARGV[3])
return {'OK', token}

--@include clock
--@include lifecycle
-- Removes a session whose keys have expired from the indexes, and appends `expired` to the lifecycle stream, once.
--
-- KEYS 1 session, 2 ended index, 3 waiting index, 4 running index, 5 deadlines, 6 lifecycle
-- ARGV 1 session token, 2 lifecycle channel
-- Returns {OK, 1} | {OK, 0}: it still exists, or is on no index
local session_key, ended_key, waiting_key, running_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local deadlines_key, lifecycle_key = KEYS[5], KEYS[6]
if redis.call('EXISTS', session_key) == 1 then
    return {'OK', '0'}
end
local found = redis.call('ZREM', ended_key, ARGV[1]) + redis.call('ZREM', waiting_key, ARGV[1])
    + redis.call('ZREM', running_key, ARGV[1])
redis.call('ZREM', deadlines_key, 'lobby:' .. ARGV[1])
if found == 0 then
    return {'OK', '0'}
end
redis.call('XADD', lifecycle_key, '*', 'session', ARGV[1], 'event', EVENT.EXPIRED, 'mode', '', 'size', '',
    'at', whole(now_ms()), 'reason', '', 'players', '')
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. EVENT.EXPIRED)
return {'OK', '1'}

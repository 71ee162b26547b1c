--@include filling
-- The time for which the seats of a rematch are held has passed: anyone may take them.
--
-- KEYS 1-12 the session (parts/session.lua)
-- ARGV 1-3 the session, 4 the time by which the deadline must have passed [ms]
-- Returns {OK, 1} | {OK, 0}: nothing to do
local due = redis.call('ZSCORE', deadlines_key, hold_timer())
if not due or tonumber(due) > tonumber(ARGV[4]) then
    return {'OK', '0'}
end
redis.call('ZREM', deadlines_key, hold_timer())
if not WAITING[redis.call('HGET', session_key, 'status')] then
    return {'OK', '0'}
end
redis.call('HDEL', session_key, 'held', 'held_until')
emit('seats_released', {at = now_ms()})
index_open_lobby()
return {'OK', '1'}

--@include seating
--@include lifecycle
--@include full
-- Records that a connection is closed, unless the seat has a newer one. In a waiting lobby the seat is kept for the
-- grace time; that of a bot which fills it is kept for FILLING_GRACE_MS at most, because another bot can take it. A
-- connected member is host in place of one that is gone, until that one is back.
--
-- KEYS 1-12 the session (parts/session.lua), 13 session player
-- ARGV 1-3 the session, 4 player, 5 connection, 6 grace time [ms]
-- Returns {OK, 1} | {OK, 0}: nothing to do
local FILLING_GRACE_MS = 2000
local member_key = KEYS[13]
local player = ARGV[4]
local status = redis.call('HGET', session_key, 'status')
local member = redis.call('HMGET', member_key, 'seat', 'conn', 'connected', 'left')
if not status or ENDED[status]
    or member[2] ~= ARGV[5] or member[3] ~= '1' or member[4] == '1' then
    return {'OK', '0'}
end
write_even_if_full(session_key)
redis.call('HSET', member_key, 'connected', '0')
redis.call('HDEL', session_key, 'here.' .. member[1])
index_open_lobby()
if WAITING[status] then
    await_member(member_key, player)
    local grace_ms = tonumber(ARGV[6])
    if redis.call('HEXISTS', session_key, 'fill.' .. member[1]) == 1 then
        grace_ms = math.min(grace_ms, FILLING_GRACE_MS)
    end
    redis.call('ZADD', deadlines_key, whole(now_ms() + grace_ms), seat_timer(player))
end
emit('seat_disconnected', {seat = tonumber(member[1]), player = player})
local about = redis.call('HMGET', session_key, 'host', 'size')
if WAITING[status] and about[1] == player then
    local passed = pass_host(tonumber(member[1]), tonumber(about[2]), function(seat)
        return redis.call('HEXISTS', session_key, 'here.' .. seat) == 1
            and redis.call('HEXISTS', session_key, 'fill.' .. seat) == 0
    end)
    if passed then
        redis.call('HSETNX', session_key, 'host_away', player)
    end
end
return {'OK', '1'}

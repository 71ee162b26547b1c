--@include session
-- A player leaves, or the reservation of its seat has run out. In a waiting lobby the seat becomes free, the next seat
-- becomes host, and an empty lobby ends. In a run the seat is marked as left and the holder records the forfeit.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player
-- ARGV 1-3 the session, 4 player, 5 reason, 6 '' or the time by which the seat's deadline must have passed [ms]
-- Returns {OK, 1} | {OK, 0}: nothing to do
local player_key, member_key = KEYS[13], KEYS[14]
local player, reason, by = ARGV[4], ARGV[5], ARGV[6]
local about = redis.call('HMGET', session_key, 'status', 'size', 'host')
local status = about[1]
local waiting = WAITING[status]
local member = redis.call('HMGET', member_key, 'seat', 'connected', 'left')

if by ~= '' then
    local due = redis.call('ZSCORE', deadlines_key, seat_timer(player))
    if not due or tonumber(due) > tonumber(by) then
        return {'OK', '0'}
    end
    if not waiting or member[2] == '1' then
        redis.call('ZREM', deadlines_key, seat_timer(player))
        return {'OK', '0'}
    end
end
redis.call('ZREM', deadlines_key, seat_timer(player))
free_player(player_key)
if not status or not member[1] or redis.call('SISMEMBER', players_key, player) == 0 then
    return {'OK', '0'}
end

if not waiting then
    if not HELD[status] or member[3] == '1' then
        return {'OK', '0'}
    end
    redis.call('HSET', member_key, 'left', '1', 'connected', '0')
    emit('seat_left', {seat = tonumber(member[1]), player = player, reason = reason})
    return {'OK', '1'}
end

redis.call('HDEL', seats_key, member[1])
redis.call('SREM', players_key, player)
redis.call('SREM', awaited_key, player)
redis.call('HDEL', session_key, 'body.' .. member[1], 'here.' .. member[1])
redis.call('DEL', member_key)
emit('seat_left', {seat = tonumber(member[1]), player = player, reason = reason})
local at = now_ms()
if redis.call('HLEN', seats_key) == 0 then
    close_session(status, EVENT.ENDED, 'empty', at)
    return {'OK', '1'}
end
if about[3] == player then
    local size = tonumber(about[2])
    for step = 1, size - 1 do
        local seat = (tonumber(member[1]) + step) % size
        local next_host = redis.call('HGET', seats_key, whole(seat))
        if next_host then
            redis.call('HSET', session_key, 'host', next_host)
            emit('host_changed', {seat = seat, player = next_host})
            break
        end
    end
end
local reopened = status_after(status, EVENT.REOPENED)
if reopened then
    redis.call('HSET', session_key, 'status', reopened)
    emit(EVENT.REOPENED, {at = at})
    announce(EVENT.REOPENED, at)
end
index_open_lobby()
return {'OK', '1'}

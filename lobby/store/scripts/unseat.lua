--@include session
-- A player leaves: by its own will, or because its seat was kept in vain for too long. In a waiting lobby the seat
-- is free again, the next seat becomes host, a lobby without anyone ends. In a run the seat is marked as left and
-- its holder admits the forfeit.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player
-- ARGV 1-3 the session, 4 player, 5 reason, 6 '' or the time by which the seat's deadline must have passed [ms]
-- Returns {OK, 1} | {OK, 0}: nothing to do
local player_key, member_key = KEYS[13], KEYS[14]
local player, reason, by = ARGV[4], ARGV[5], ARGV[6]
local about = redis.call('HMGET', session_key, 'status', 'size', 'host', 'private', 'opened_at')
local status = about[1]
local waiting = status == 'open' or status == 'filled'
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
    if status ~= 'starting' and status ~= 'running' and status ~= 'paused' or member[3] == '1' then
        return {'OK', '0'}
    end
    redis.call('HSET', member_key, 'left', '1', 'connected', '0')
    emit('seat_left', {seat = tonumber(member[1]), player = player, reason = reason})
    return {'OK', '1'}
end

redis.call('HDEL', seats_key, member[1])
redis.call('SREM', players_key, player)
redis.call('SREM', awaited_key, player)
redis.call('HDEL', session_key, 'body.' .. member[1])
redis.call('DEL', member_key)
emit('seat_left', {seat = tonumber(member[1]), player = player, reason = reason})
local at = now_ms()
if redis.call('HLEN', seats_key) == 0 then
    close_session('ended', 'empty', at)
    emit('ended', {at = at, reason = 'empty'})
    announce('ended', at)
    return {'OK', '1'}
end
if about[3] == player then
    local size = tonumber(about[2])
    for step = 1, size - 1 do
        local seat = (tonumber(member[1]) + step) % size
        local heir = redis.call('HGET', seats_key, whole(seat))
        if heir then
            redis.call('HSET', session_key, 'host', heir)
            emit('host_changed', {seat = seat, player = heir})
            break
        end
    end
end
if status == 'filled' then
    redis.call('HSET', session_key, 'status', 'open')
    if about[4] == '0' then
        redis.call('ZADD', open_key, about[5], token)
    end
    emit('reopened', {at = at})
    announce('reopened', at)
end
return {'OK', '1'}

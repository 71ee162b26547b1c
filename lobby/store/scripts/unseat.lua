--@include filling
-- A player leaves, or the reservation of its seat has run out. In a waiting lobby the seat becomes free, the next seat
-- becomes host, and an empty lobby ends. In a run the seat is marked as left and the holder records the forfeit.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player, 15 requests for bots
-- ARGV 1-3 the session, 4 player, 5 reason; gave_way: only if the lobby is full and a bot fills the seat,
--      6 '' or the time by which the seat's deadline must have passed [ms]
-- Returns {OK, 1} | {OK, 0}: nothing to do
local player_key, member_key, requests_key = KEYS[13], KEYS[14], KEYS[15]
local player, reason, by = ARGV[4], ARGV[5], ARGV[6]
local about = redis.call('HMGET', session_key, 'status', 'size', 'host')
local status = about[1]
local waiting = WAITING[status]
local member = redis.call('HMGET', member_key, 'seat', 'connected', 'left')

local fills = member[1] and redis.call('HGET', session_key, 'fill.' .. member[1]) == player
if reason == 'gave_way' and not (fills and status == STATUS.FILLED) then
    return {'OK', '0'}
end
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
redis.call('HDEL', session_key, 'body.' .. member[1], 'here.' .. member[1], 'fill.' .. member[1])
redis.call('DEL', member_key)
emit('seat_left', {seat = tonumber(member[1]), player = player, reason = reason})
local at = now_ms()
if redis.call('HLEN', seats_key) == 0 then
    close_session(status, EVENT.ENDED, 'empty', at)
    index_request(requests_key)
    return {'OK', '1'}
end
if redis.call('HGET', session_key, 'host_away') == player then
    redis.call('HDEL', session_key, 'host_away')
end
local size = tonumber(about[2])
local abandoned = only_filled(size)
if about[3] == player then
    -- a bot that fills a seat becomes host only if nobody else is left, and leaves then
    pass_host(tonumber(member[1]), size, function(seat)
        return abandoned or redis.call('HEXISTS', session_key, 'fill.' .. seat) == 0
    end)
end
if abandoned then
    redis.call('HDEL', session_key, 'bots.wanted')
elseif fills and reason ~= 'gave_way' then
    redis.call('HINCRBY', session_key, 'bots.wanted', '1') -- another bot may take the seat
end
local reopened = status_after(status, EVENT.REOPENED)
if reopened then
    redis.call('HSET', session_key, 'status', reopened)
    emit(EVENT.REOPENED, {at = at})
    announce(EVENT.REOPENED, at)
end
index_open_lobby()
index_request(requests_key)
start_alone_timer()
return {'OK', '1'}

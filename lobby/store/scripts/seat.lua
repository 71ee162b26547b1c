--@include filling
--@include full
-- Seats a player in one lobby, or renews the ticket of a member. A lobby that cannot be joined is removed from
-- the index of open lobbies. A person also gets the seat of a bot that fills it, in two steps: see YIELD.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player, 15 ticket,
--      16 full lobbies of this mode and size in which a bot fills a seat
-- ARGV 1-3 the session, 4 player, 5 body or '', 6 bodies in order of preference (JSON list), 7 ready 0|1,
--      8 lifetime of the ticket and the reservation [ms],
--      9 only if this is the oldest open lobby of its mode and size 0|1
-- Returns {OK, seat, holder, its nonce, its url, oldest} | {OTHER, oldest}: another lobby is older, nothing changed
--      | {YIELD, bot}: every seat is taken, and this bot gives its seat up; unseat it and try again
--      | {FULL} | {HELD, time [ms]}: the free seats are held for others for this time
--      | {GONE}: there is no such lobby, or its time is up | ERR unknown_player, in_session, left, ended
--      oldest: token of the lobby that is now the oldest open one, '' if none is open
local player_key, member_key, ticket_key, yielding_key = KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local player = ARGV[4]

local function oldest_open()
    return redis.call('ZRANGE', open_key, '0', '0')[1] or ''
end

local function seated(seat)
    issue_ticket(ticket_key, player, tonumber(seat), 'player', ARGV[8])
    local about = redis.call('HMGET', session_key, 'holder', 'holder_nonce', 'holder_url')
    return {'OK', whole(seat), about[1], about[2], about[3], oldest_open()}
end

if ARGV[9] == '1' and oldest_open() ~= token then
    return {'OTHER', oldest_open()}
end
local about = redis.call('HMGET', session_key, 'status', 'size')
local status = about[1]
if not status then
    redis.call('ZREM', open_key, token)
    redis.call('ZREM', yielding_key, token)
    return {'GONE'}
end
if redis.call('HEXISTS', player_key, 'kind') == 0 then
    return refuse('unknown_player', 'no such player')
end
if ENDED[status] then
    redis.call('ZREM', open_key, token)
    redis.call('ZREM', yielding_key, token)
    return refuse('ended', 'the session has ended')
end
if redis.call('SISMEMBER', players_key, player) == 1 then
    local member = redis.call('HMGET', member_key, 'seat', 'left', 'connected', 'conn')
    if member[2] == '1' then
        return refuse('left', 'you have left this session')
    end
    write_even_if_full(session_key) -- a member of a running session may come back
    if member[3] ~= '1' and member[4] and WAITING[status] then -- who never connected gets no longer reservation
        redis.call('ZADD', deadlines_key, whole(now_ms() + tonumber(ARGV[8])), seat_timer(player))
    end
    return seated(member[1])
end
local bound = redis.call('HGET', player_key, 'session')
if bound then
    return refuse('in_session', bound)
end
local due = redis.call('ZSCORE', deadlines_key, lobby_timer())
if status == STATUS.OPEN and (not due or tonumber(due) <= now_ms()) then
    redis.call('ZREM', open_key, token)
    return {'GONE'}
end
if status ~= STATUS.OPEN or redis.call('HLEN', seats_key) >= tonumber(about[2]) then
    redis.call('ZREM', open_key, token)
    local bot = nil
    if status == STATUS.FILLED and redis.call('HGET', player_key, 'kind') == 'person' then
        bot = filling_bot(tonumber(about[2]))
    end
    if bot then
        return {'YIELD', bot}
    end
    redis.call('ZREM', yielding_key, token)
    return {'FULL'}
end
local held, till = read_held()
if not may_take(tonumber(about[2]), held, player) then
    return {'HELD', whole(till - now_ms())}
end
local seat = take_seat(player_key, member_key, player, ARGV[5], ARGV[6], ARGV[7], ARGV[8])
index_yielding(yielding_key, tonumber(about[2]))
return seated(seat)

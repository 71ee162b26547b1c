--@include seating
--@include lifecycle
--@include full
-- Connects a player to its seat, or an observer, with a ticket (valid once) or a resume token (replaced at each use).
-- Starts the session if it waited for this member only. After the end of the session only the ticket is used up.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player, 15 ticket (not with a resume token)
-- ARGV 1-3 the session, 4 player, 5 'ticket' or the hash of the resume token, 6 connection, 7 hash of the next
--      resume token, 8 server
-- Returns {OK, role, seat or '', name, kind, v, status, epoch, tick, replaced connection or '', last id, holder,
--      its url, 1 if the next resume token is valid from now on, else 0}
--      | ERR banned, not_found, ticket_refused, resume_refused, not_member
local player_key, member_key = KEYS[13], KEYS[14]
local player, resume = ARGV[4], ARGV[5]

local banned_until = redis.call('HGET', player_key, 'banned_until')
if banned_until and tonumber(banned_until) > now_ms() then
    return refuse('banned', 'an operator has banned this player until ' .. banned_until .. ' ms')
end
local role = 'player'
if resume == 'ticket' then
    local ticket_key = KEYS[15]
    local text = redis.call('GETDEL', ticket_key)
    local ticket = text and cjson.decode(text)
    if not ticket or ticket.session ~= token or ticket.player ~= player then
        return refuse('ticket_refused', 'this ticket is used, too old or not yours')
    end
    role = ticket.role
end
local status = redis.call('HGET', session_key, 'status')
if not status then
    return refuse('not_found', 'no such session')
end

local seat, name, kind, replaced, last_id, rotated = '', '', '', '', '0', '0'
if role == 'observer' then
    local who = redis.call('HMGET', player_key, 'name', 'kind')
    name, kind = who[1] or '', who[2] or 'person'
else
    local member = redis.call('HMGET', member_key, 'seat', 'name', 'kind', 'left', 'connected', 'conn', 'resume',
        'resume_before', 'last_id', 'chat_id', 'scene_id')
    if not member[1] or member[4] == '1' then
        return refuse('not_member', 'you have no seat in this session')
    end
    local before = ''
    if resume ~= 'ticket' then
        if resume ~= member[7] and resume ~= member[8] then
            return refuse('resume_refused', 'this resume token is not valid')
        end
        before = resume
    end
    seat, name, kind, last_id = member[1], member[2], member[3], member[9] or '0'
    for i = 10, 11 do
        if member[i] and tonumber(member[i]) > tonumber(last_id) then
            last_id = member[i]
        end
    end
    if not ENDED[status] then
        write_even_if_full(session_key)
        if member[5] == '1' and member[6] ~= ARGV[6] then
            replaced = member[6] or ''
        end
        redis.call('HSET', member_key, 'connected', '1', 'conn', ARGV[6], 'server', ARGV[8], 'resume', ARGV[7],
            'resume_before', before)
        redis.call('HSET', session_key, 'here.' .. seat, '1')
        index_open_lobby()
        rotated = '1'
        redis.call('ZREM', deadlines_key, seat_timer(player))
        if WAITING[status] then
            await_member(member_key, player)
            if kind == 'person' then
                start_alone_timer()
            end
        end
        emit('seat_connected', {seat = tonumber(seat), player = player, conn = ARGV[6]})
        if WAITING[status] and redis.call('HGET', session_key, 'host_away') == player then
            redis.call('HDEL', session_key, 'host_away')
            redis.call('HSET', session_key, 'host', player)
            emit('host_changed', {seat = tonumber(seat), player = player})
        end
        start_if_ready()
    end
end
local about = redis.call('HMGET', session_key, 'v', 'status', 'epoch', 'tick', 'holder', 'holder_url')
return {'OK', role, seat, name, kind, about[1], about[2], about[3], about[4], replaced, last_id, about[5], about[6],
    rotated}

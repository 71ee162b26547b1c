--@include filling
--@include full
-- Seats a bot in a lobby that wants bots. It is ready, and gives its seat to a person who comes before the start.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player, 15 ticket, 16 requests for bots,
--      17 full lobbies of this mode and size in which a bot fills a seat
-- ARGV 1-3 the session, 4 player, 5 bodies in order of preference (JSON list),
--      6 lifetime of the ticket and the reservation [ms]
-- Returns {OK, seat, holder, its nonce, its url} | ERR unknown_player, not_allowed, in_session, no_bot_wanted
local player_key, member_key, ticket_key = KEYS[13], KEYS[14], KEYS[15]
local requests_key, yielding_key = KEYS[16], KEYS[17]
local player = ARGV[4]

local who = redis.call('HMGET', player_key, 'kind', 'session')
if not who[1] then
    return refuse('unknown_player', 'no such player')
end
if who[1] ~= 'bot' then
    return refuse('not_allowed', 'only bots fill seats')
end
if who[2] then
    return refuse('in_session', who[2])
end
local about = redis.call('HMGET', session_key, 'status', 'size', 'bots.wanted', 'bots.until', 'holder', 'holder_nonce',
    'holder_url')
local due = redis.call('ZSCORE', deadlines_key, lobby_timer())
local size = tonumber(about[2] or '0')
if about[1] ~= STATUS.OPEN or tonumber(about[3] or '0') <= 0 or tonumber(about[4]) <= now_ms()
    or not due or tonumber(due) <= now_ms() or redis.call('HLEN', seats_key) >= size
    or not may_take(size, (read_held()), player) then
    redis.call('ZREM', requests_key, token)
    return refuse('no_bot_wanted', 'this lobby wants no bot now')
end
redis.call('HINCRBY', session_key, 'bots.wanted', '-1')
local seat = take_seat(player_key, member_key, player, '', ARGV[5], '1', ARGV[6], '', true)
index_request(requests_key)
index_yielding(yielding_key, size)
issue_ticket(ticket_key, player, seat, 'player', ARGV[6])
return {'OK', whole(seat), about[5], about[6], about[7]}

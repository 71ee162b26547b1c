--@include session
--@include publishing
-- The holder ends a run: publishes the last events, stores the result and frees every player. A repeated call by the
-- same claim changes nothing.
--
-- KEYS 1-12 the session (parts/session.lua), then session player of each member, then player of each member
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 tick, 8 event ended|failed, 9 reason, 10 result (JSON) or '',
--      11 count of members, then the members, then the arguments of publish_tick (parts/publishing.lua)
-- Returns {OK, first v, last v, 0} | the same with 1: it had already ended | {RETRY}: the members are not those of ARGV
--      | ERR fenced
local event, count = ARGV[8], tonumber(ARGV[11])
local refusal = check_fence(session_key, ARGV[4], ARGV[5], ARGV[6], nil)
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'status', 'events_tick', 'events_first_v', 'events_last_v')
if ENDED[about[1]] then
    return {'OK', about[3] or '0', about[4] or '0', '1'}
end
if not HELD[about[1]] or not status_after(about[1], event) then
    return refuse('fenced', 'the session is ' .. about[1])
end
if redis.call('SCARD', players_key) ~= count then
    return {'RETRY'}
end
for i = 1, count do
    if redis.call('SISMEMBER', players_key, ARGV[11 + i]) == 0 then
        return {'RETRY'}
    end
end
for i = 1, count do
    local player_key = KEYS[12 + count + i]
    free_player(player_key)
    redis.call('ZREM', deadlines_key, seat_timer(ARGV[11 + i]))
end
if tonumber(ARGV[7]) > tonumber(redis.call('HGET', session_key, 'tick')) then
    redis.call('HSET', session_key, 'tick', ARGV[7])
end
local first_v, last_v = 0, tonumber(redis.call('HGET', session_key, 'v'))
if tonumber(ARGV[7]) > tonumber(about[2]) then
    first_v, last_v = publish_tick(session_key, events_key, wake, ARGV[6], 12 + count, 13, nil)
end
local at = now_ms()
if ARGV[10] ~= '' then
    redis.call('HSET', session_key, 'result', ARGV[10])
end
last_v = close_session(about[1], event, ARGV[9], at)
if first_v == 0 then
    first_v = last_v
end
redis.call('HSET', session_key, 'events_tick', ARGV[7], 'events_first_v', whole(first_v), 'events_last_v',
    whole(last_v))
return {'OK', whole(first_v), whole(last_v), '0'}

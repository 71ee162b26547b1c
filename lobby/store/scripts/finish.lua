--@include session
--@include publishing
--@include recording
-- The holder ends a run: publishes the last events, stores the result and how far the recording goes, and frees every
-- player. A repeated call by the same claim changes nothing.
--
-- KEYS 1-12 the session (parts/session.lua), 13 recording, then session player of each member, then player of each
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 tick, 8 event ended|failed, 9 reason, 10 result (JSON) or '',
--      11 count of values for the recording, then these (parts/recording.lua), then the count of members, the members,
--      and the arguments of publish_tick (parts/publishing.lua)
-- Returns {OK, first v, last v, 0} | the same with 1: it had already ended | {RETRY}: the members are not those of ARGV
--      | ERR fenced
local recording_key = KEYS[13]
local event, first = ARGV[8], 12 + tonumber(ARGV[11])
local count = tonumber(ARGV[first])
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
    if redis.call('SISMEMBER', players_key, ARGV[first + i]) == 0 then
        return {'RETRY'}
    end
end
for i = 1, count do
    local player_key = KEYS[13 + count + i]
    free_player(player_key)
    redis.call('ZREM', deadlines_key, seat_timer(ARGV[first + i]))
end
if tonumber(ARGV[7]) > tonumber(redis.call('HGET', session_key, 'tick')) then
    redis.call('HSET', session_key, 'tick', ARGV[7])
end
local first_v, last_v = 0, tonumber(redis.call('HGET', session_key, 'v'))
if tonumber(ARGV[7]) > tonumber(about[2]) then
    first_v, last_v = publish_tick(session_key, events_key, wake, ARGV[6], first + 1 + count, 14, nil)
end
local at = now_ms()
write_recording(recording_key, 11)
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

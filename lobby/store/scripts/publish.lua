--@include publishing
--@include full
--@include turn_clock
-- Publishes a tick, once: appends its events, and writes the fields of the session and its players and the end of the
-- turn.
--
-- KEYS 1 session, 2 session events, 3.. session player of each whose fields change
-- ARGV 1 wake channel, 2 server, 3 nonce, 4 epoch, 5 tick, 6 length [ms] of the turn that begins here or '',
--      7.. the arguments of publish_tick (parts/publishing.lua)
-- Returns {OK, first v, last v, turn_ends_at, 0} | the same with 1: the tick was published before, nothing changed
--      | ERR fenced
local session_key, events_key = KEYS[1], KEYS[2]
local refusal = check_fence(session_key, ARGV[2], ARGV[3], ARGV[4], LIVE)
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'events_tick', 'events_first_v', 'events_last_v', 'turn_ends_at')
if tonumber(ARGV[5]) <= tonumber(about[1]) then
    if about[1] ~= ARGV[5] then
        return {'OK', '0', '0', about[4] or '0', '1'}
    end
    return {'OK', about[2], about[3], about[4] or '0', '1'}
end
write_even_if_full(session_key)
local ends_at = nil
if ARGV[6] ~= '' then
    ends_at = begin_turn(session_key, now_ms(), ARGV[6])
end
local first_v, last_v = publish_tick(session_key, events_key, ARGV[1], ARGV[4], 7, 3, ends_at)
redis.call('HSET', session_key, 'events_tick', ARGV[5], 'events_first_v', whole(first_v), 'events_last_v',
    whole(last_v))
return {'OK', whole(first_v), whole(last_v), whole(ends_at or about[4] or 0), '0'}

--@include session
--@include fence
--@include turn_clock
--@include full
-- The holder has restored the world of a claimed session: continues the turn clock and appends the event `recovered`,
-- once per claim.
--
-- If the recovery is not exact, the journaled inputs of later ticks do not fit the restored world and are deleted.
-- Ticks after this one may then be published a second time, because their events may differ.
--
-- KEYS 1-12 the session (parts/session.lua), 13 journal
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 tick, 8 1 if exact else 0, 9 ticks computed again, 10 inputs lost
-- Returns {OK, v of the event, turn_ends_at, ms without a holder} | ERR fenced
local journal_key, tick = KEYS[13], tonumber(ARGV[7])
local refusal = check_fence(session_key, ARGV[4], ARGV[5], ARGV[6], LIVE)
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'turn_ends_at', 'unheld_at', 'recovered_epoch', 'recovered_v',
    'recovery_ms', 'events_tick')
if about[3] == ARGV[6] then
    return {'OK', about[4], about[1] or '0', about[5]}
end
write_even_if_full(session_key)
local at = now_ms()
local ends_at = start_turn(session_key, at)
if ARGV[8] == '0' then
    local next_id = whole(tick + 1) .. '-0'
    if redis.call('XRANGE', journal_key, next_id, '+', 'COUNT', '1')[1] then
        -- A stream refuses ids below its newest one, so the kept entries are written to a new stream.
        local kept = redis.call('XRANGE', journal_key, '-', '(' .. next_id)
        redis.call('DEL', journal_key)
        for _, entry in ipairs(kept) do
            redis.call('XADD', journal_key, entry[1], entry[2][1], entry[2][2])
        end
    end
    if tick <= tonumber(about[6]) then
        redis.call('HSET', session_key, 'events_tick', whole(tick - 1))
    end
end
local gap = whole(at - tonumber(about[2] or whole(at)))
redis.call('HSET', session_key, 'recovered_epoch', ARGV[6], 'recovery_ms', gap)
redis.call('HDEL', session_key, 'unheld_at')
redis.call('HINCRBY', session_key, 'recoveries', '1')
local data = cjson.encode({exact = ARGV[8] == '1', tick = tick, ticks_again = tonumber(ARGV[9]),
    inputs_lost = tonumber(ARGV[10]), gap_ms = tonumber(gap), turn_ends_at = tonumber(ends_at), holder = ARGV[4]})
-- The event has the tick of the restored world, which may not be published yet.
local v = append_event(session_key, events_key, wake, 'recovered', data, ARGV[7], ARGV[6])
redis.call('HSET', session_key, 'recovered_v', whole(v))
return {'OK', whole(v), ends_at, gap}

--@include session
--@include fence
--@include turn_clock
-- The world of a claimed session stands again: its turn clock goes on, and everyone is told. Once per claim.
--
-- KEYS 1-12 the session (parts/session.lua)
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 tick, 8 1 if exact else 0, 9 ticks computed again
-- Returns {OK, v of the event, turn_ends_at, ms since it was last held} | ERR fenced
local refusal = check_fence(session_key, ARGV[4], ARGV[5], ARGV[6], ',running,paused,')
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'turn_ends_at', 'unheld_at', 'recovered_epoch', 'recovered_v',
    'recovery_ms')
if about[3] == ARGV[6] then
    return {'OK', about[4], about[1] or '0', about[5]}
end
local at = now_ms()
local ends_at = start_turn(session_key, at)
local gap = whole(at - tonumber(about[2] or whole(at)))
redis.call('HSET', session_key, 'recovered_epoch', ARGV[6], 'recovery_ms', gap,
    'recovered_exact', ARGV[8])
redis.call('HINCRBY', session_key, 'recoveries', '1')
local v = emit('recovered', {exact = ARGV[8] == '1', tick = tonumber(ARGV[7]), ticks_again = tonumber(ARGV[9]),
    gap_ms = tonumber(gap), turn_ends_at = tonumber(ends_at), holder = ARGV[4]})
redis.call('HSET', session_key, 'recovered_v', whole(v))
return {'OK', whole(v), ends_at, gap}

--@include fence
--@include turn_clock
--@include full
-- The holder continues a session: starts the turn clock again, unless the session is paused.
--
-- KEYS 1 session
-- ARGV 1 server, 2 nonce, 3 epoch, 4 remaining time of the turn [ms], or '' for the stored one
-- Returns {OK, turn_ends_at, the time now} | ERR fenced
local session_key = KEYS[1]
local refusal = check_fence(session_key, ARGV[1], ARGV[2], ARGV[3], LIVE)
if refusal then
    return refusal
end
write_even_if_full(session_key)
if ARGV[4] ~= '' then
    redis.call('HSET', session_key, 'turn_left_ms', ARGV[4])
end
local at = now_ms()
return {'OK', start_turn(session_key, at), whole(at)}

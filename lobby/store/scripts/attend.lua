--@include session
--@include fence
--@include turn_clock
-- The holder pauses a run that nobody is connected to, or resumes it when somebody connects. A pause by an operator is
-- not changed.
--
-- KEYS 1-12 the session (parts/session.lua)
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 pause | resume
-- Returns {OK, 1} | {OK, 0}: nothing to change | ERR fenced
local refusal = check_fence(session_key, ARGV[4], ARGV[5], ARGV[6], LIVE)
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'status', 'pause_reason')
local at = now_ms()
if ARGV[7] == 'pause' then
    local paused = status_after(about[1], EVENT.PAUSED)
    if not paused then
        return {'OK', '0'}
    end
    redis.call('HSET', session_key, 'status', paused, 'pause_reason', 'unattended')
    stop_turn(session_key, at)
    emit('session_paused', {at = at, by = '', reason = 'unattended'})
    announce(EVENT.PAUSED, at)
    return {'OK', '1'}
end
local running = status_after(about[1], EVENT.RUNNING)
if not running or about[2] ~= 'unattended' then
    return {'OK', '0'}
end
redis.call('HSET', session_key, 'status', running)
redis.call('HDEL', session_key, 'pause_reason')
emit('session_resumed', {at = at, by = '', reason = 'attended'})
announce(EVENT.RUNNING, at)
return {'OK', '1'}

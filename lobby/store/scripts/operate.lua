--@include session
--@include turn_clock
--@include full
-- An operator's command on a running session: pause, resume, or end. `end` is also accepted while the session starts.
-- The holder reads the command from the events, or from the session's fields after it has restored the world. The turn
-- clock continues when the holder does.
--
-- KEYS 1-12 the session (parts/session.lua)
-- ARGV 1-3 the session, 4 pause | resume | end, 5 player id of the operator
-- Returns {OK, 1} | {OK, 0}: already in effect | ERR not_found, not_running
local status = redis.call('HGET', session_key, 'status')
if not status then
    return refuse('not_found', 'no such session')
end
if not LIVE[status] and not (status == STATUS.STARTING and ARGV[4] == 'end') then
    return refuse('not_running', 'the session is ' .. status)
end
write_even_if_full(session_key)
local at = now_ms()
if ARGV[4] == 'pause' then
    local paused = status_after(status, EVENT.PAUSED)
    if not paused then
        if redis.call('HDEL', session_key, 'pause_reason') == 1 then
            -- It was paused because nobody was connected: from now on it stays paused when somebody connects.
            emit('session_paused', {at = at, by = ARGV[5]})
            return {'OK', '1'}
        end
        return {'OK', '0'}
    end
    redis.call('HSET', session_key, 'status', paused)
    stop_turn(session_key, at)
    emit('session_paused', {at = at, by = ARGV[5]})
    announce(EVENT.PAUSED, at)
elseif ARGV[4] == 'resume' then
    local running = status_after(status, EVENT.RUNNING)
    if not running then
        return {'OK', '0'}
    end
    redis.call('HSET', session_key, 'status', running)
    redis.call('HDEL', session_key, 'pause_reason')
    emit('session_resumed', {at = at, by = ARGV[5]})
    announce(EVENT.RUNNING, at)
else
    redis.call('HSET', session_key, 'end_asked', '1')
    emit('end_asked', {at = at, by = ARGV[5]})
end
return {'OK', '1'}

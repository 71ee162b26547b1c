--@include session
-- Ends a lobby whose deadline has passed: as timed_out if it waits for players, as failed if its holder did not run it.
--
-- KEYS 1-12 the session (parts/session.lua), 13.. player of each member
-- ARGV 1-3 the session, 4 the time by which the deadline must have passed [ms], 5.. player ids of the members
-- Returns {OK, event} | {OK, ''}: nothing to do | {RETRY}: the members are not those of ARGV
local due = redis.call('ZSCORE', deadlines_key, lobby_timer())
if not due or tonumber(due) > tonumber(ARGV[4]) then
    return {'OK', ''}
end
local status = redis.call('HGET', session_key, 'status')
local event, reason = nil, nil
if WAITING[status] then
    event, reason = EVENT.TIMED_OUT, 'nobody_came'
    if status == STATUS.FILLED then
        reason = 'not_ready'
    end
elseif status == STATUS.STARTING then
    event, reason = EVENT.FAILED, 'not_started'
else
    redis.call('ZREM', deadlines_key, lobby_timer())
    return {'OK', ''}
end
if not free_members(13, 5) then
    return {'RETRY'}
end
local at = now_ms()
close_session(status, event, reason, at)
return {'OK', event}

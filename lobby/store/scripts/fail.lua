--@include session
-- Ends a run as failed because its holder is dead and no other server claims it. Called by the sweep.
--
-- KEYS 1-12 the session (parts/session.lua), 13 lease of the holder, 14.. player of each member
-- ARGV 1-3 the session, 4 holder, 5 its nonce, 6 reason, 7.. player ids of the members
-- Returns {OK, 1} | {OK, 0}: it is over, or a live server holds it | {RETRY}: the members are not those of ARGV
local lease_key = KEYS[13]
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce')
if not status_after(about[1], EVENT.FAILED)
    or about[2] ~= ARGV[4] or about[3] ~= ARGV[5] or redis.call('HGET', lease_key, 'nonce') == ARGV[5] then
    return {'OK', '0'}
end
if not free_members(14, 7) then
    return {'RETRY'}
end
local at = now_ms()
close_session(about[1], EVENT.FAILED, ARGV[6], at)
return {'OK', '1'}

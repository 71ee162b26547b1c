--@include session
--@include lifecycle
-- Sets an expiry on every key of a session that is over, and leaves it on the index of ended sessions only. A repeated
-- call changes nothing.
--
-- KEYS 1-12 the session (parts/session.lua), 13.. every key that it may own
-- ARGV 1-3 the session, 4 time from its end to the expiry [ms], 5.. player ids of the members
-- Returns {OK, 1} | {OK, 0}: it does not exist, or is not over | {RETRY}: the members are not those of ARGV
local about = redis.call('HMGET', session_key, 'status', 'ended_at')
local status = about[1]
if not ENDED[status] then
    return {'OK', '0'}
end
if redis.call('SCARD', players_key) ~= #ARGV - 4 then
    return {'RETRY'}
end
for i = 5, #ARGV do
    if redis.call('SISMEMBER', players_key, ARGV[i]) == 0 then
        return {'RETRY'}
    end
end
for i = 5, #ARGV do
    redis.call('ZREM', deadlines_key, seat_timer(ARGV[i]))
end
redis.call('ZREM', deadlines_key, lobby_timer())
redis.call('ZREM', waiting_key, token)
redis.call('ZREM', open_key, token)
redis.call('ZREM', running_key, token)
redis.call('ZADD', ended_key, about[2], token)
local at = whole(tonumber(about[2]) + tonumber(ARGV[4]))
for i = 13, #KEYS do
    redis.call('PEXPIREAT', KEYS[i], at)
end
return {'OK', '1'}

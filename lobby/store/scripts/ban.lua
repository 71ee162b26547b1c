--@include clock
-- Bans a player for some time, or lifts its ban. A ban is announced to every server, which closes the player's
-- connections; login, HTTP calls and connect.lua read it from the player. Bans that are over leave the index.
--
-- KEYS 1 player, 2 banned: player -> end of the ban [ms], 3 orders
-- ARGV 1 player, 2 length of the ban [ms]; 0: lift it, 3 player id of the operator, 4 orders that the stream keeps
-- Returns {OK, end of the ban [ms] or 0} | ERR not_found
local player_key, banned_key, orders_key = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', player_key) == 0 then
    return refuse('not_found', 'no such player')
end
local now = now_ms()
for _, over in ipairs(redis.call('ZRANGEBYSCORE', banned_key, '-inf', whole(now), 'LIMIT', '0', '100')) do
    redis.call('ZREM', banned_key, over)
end
if ARGV[2] == '0' then
    redis.call('HDEL', player_key, 'banned_until')
    redis.call('ZREM', banned_key, ARGV[1])
    return {'OK', '0'}
end
local ends = whole(now + tonumber(ARGV[2]))
redis.call('HSET', player_key, 'banned_until', ends)
redis.call('ZADD', banned_key, ends, ARGV[1])
redis.call('XADD', orders_key, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'ban', 'target', ARGV[1], 'text', '', 'by', ARGV[3])
return {'OK', ends}

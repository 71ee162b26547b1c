--@include clock
-- Gives a registered player an operator's rights, or takes them away.
--
-- KEYS 1 player, 2 operators
-- ARGV 1 player, 2 1: is an operator, 0: is none
-- Returns {OK, 1} | {OK, 0}: it was so before | ERR not_found: no registered player
local player_key, operators_key = KEYS[1], KEYS[2]
if redis.call('HGET', player_key, 'guest') ~= '0' then
    return refuse('not_found', 'no registered player')
end
if ARGV[2] == '1' then
    redis.call('HSET', player_key, 'operator', '1')
    return {'OK', tostring(redis.call('SADD', operators_key, ARGV[1]))}
end
redis.call('HDEL', player_key, 'operator')
return {'OK', tostring(redis.call('SREM', operators_key, ARGV[1]))}

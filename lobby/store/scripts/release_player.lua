--@include lifecycle
-- Unbinds a player from a session that is over, does not exist or does not have the player as a member.
--
-- KEYS 1 player, 2 session, 3 session players, 4 session player
-- ARGV 1 session token, 2 player
-- Returns {OK, 1}: unbound | {OK, 0}: the player is a member, or bound to another session
local player_key, session_key, players_key, member_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', player_key, 'session') ~= ARGV[1] then
    return {'OK', '0'}
end
local status = redis.call('HGET', session_key, 'status')
local over = not status or ENDED[status]
local member = redis.call('SISMEMBER', players_key, ARGV[2]) == 1
    and redis.call('HGET', member_key, 'left') ~= '1'
if member and not over then
    return {'OK', '0'}
end
redis.call('HDEL', player_key, 'session')
return {'OK', '1'}

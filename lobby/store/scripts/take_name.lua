--@include clock
-- Gives a registered name to a new player. A player that has the name loses it, with its secret and an operator's
-- rights, and keeps its login tokens: the tokens of the old player never become those of the new one.
--
-- KEYS 1 players by name, 2 new player, 3 login, 4 operators, 5 old player (only if one has the name)
-- ARGV 1 normalised name, 2 new player, 3 shown name, 4 kind, 5 skill, 6 hash of the secret,
--      7 lifetime of the login [s], 0: no login, 8 1 if the player is an operator, 9 old player or '',
--      10 shown name of the old player from now on
-- Returns {OK} | ERR token_taken: the new id exists, or another player has the name now
local names_key, player_key, login_key, operators_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('EXISTS', player_key) == 1 or (redis.call('HGET', names_key, ARGV[1]) or '') ~= ARGV[9] then
    return refuse('token_taken', ARGV[2])
end
if ARGV[9] ~= '' then
    redis.call('HSET', KEYS[5], 'name', ARGV[10])
    redis.call('HDEL', KEYS[5], 'secret_hash', 'operator')
    redis.call('SREM', operators_key, ARGV[9])
end
redis.call('HSET', player_key, 'name', ARGV[3], 'kind', ARGV[4], 'skill', ARGV[5], 'secret_hash', ARGV[6],
    'guest', '0', 'xp', '0', 'created_at', whole(now_ms()))
redis.call('HSET', names_key, ARGV[1], ARGV[2])
if ARGV[7] ~= '0' then
    redis.call('SET', login_key, ARGV[2], 'EX', ARGV[7])
end
if ARGV[8] == '1' then
    redis.call('HSET', player_key, 'operator', '1')
    redis.call('SADD', operators_key, ARGV[2])
end
return {'OK'}

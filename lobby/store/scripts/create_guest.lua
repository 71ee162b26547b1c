--@include clock
-- Creates a guest, a player without a registered name, and logs it in. The guest expires with its login.
--
-- KEYS 1 player, 2 login
-- ARGV 1 player, 2 shown name, 3 kind, 4 skill, 5 lifetime of the login [s]
-- Returns {OK} | ERR token_taken
local player_key, login_key = KEYS[1], KEYS[2]
if redis.call('EXISTS', player_key) == 1 then
    return refuse('token_taken', ARGV[1])
end
redis.call('HSET', player_key, 'name', ARGV[2], 'kind', ARGV[3], 'skill', ARGV[4], 'guest', '1', 'xp', '0',
    'created_at', whole(now_ms()))
redis.call('EXPIRE', player_key, ARGV[5])
redis.call('SET', login_key, ARGV[1], 'EX', ARGV[5])
return {'OK'}

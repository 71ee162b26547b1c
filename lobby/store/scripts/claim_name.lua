--@include clock
-- Registers a name for a new player, or for a guest that becomes a registered player, and logs the player in.
--
-- KEYS 1 players by name, 2 player, 3 login, 4 guest name that equals the name, 5 guest name before,
--      6 matches of the player
-- ARGV 1 normalised name, which is unique, 2 player, 3 shown name, 4 kind, 5 skill, 6 hash of the secret,
--      7 lifetime of the login [s], 8 1 for an existing guest, 0 for a new player
-- Returns {OK} | ERR name_taken, not_guest, token_taken
local names_key, player_key, login_key = KEYS[1], KEYS[2], KEYS[3]
local holder = redis.call('GET', KEYS[4])
if holder and holder ~= ARGV[2] then
    return refuse('name_taken', 'this name belongs to a guest')
end
if redis.call('HEXISTS', names_key, ARGV[1]) == 1 then
    return refuse('name_taken', 'this name belongs to another player')
end
if ARGV[8] == '1' then
    if redis.call('HGET', player_key, 'guest') ~= '1' then
        return refuse('not_guest', 'only a guest can take a name')
    end
    redis.call('HSET', player_key, 'name', ARGV[3], 'secret_hash', ARGV[6], 'guest', '0')
    redis.call('PERSIST', player_key)
    redis.call('PERSIST', KEYS[6])
    if redis.call('GET', KEYS[5]) == ARGV[2] then
        redis.call('DEL', KEYS[5])
    end
else
    if redis.call('EXISTS', player_key) == 1 then
        return refuse('token_taken', ARGV[2])
    end
    redis.call('HSET', player_key, 'name', ARGV[3], 'kind', ARGV[4], 'skill', ARGV[5], 'secret_hash', ARGV[6],
        'guest', '0', 'xp', '0', 'created_at', whole(now_ms()))
end
redis.call('HSET', names_key, ARGV[1], ARGV[2])
redis.call('SET', login_key, ARGV[2], 'EX', ARGV[7])
return {'OK'}

--@include clock
-- Creates a guest, a player without a registered name, and logs it in. The guest expires with its login.
--
-- The first of the names of KEYS 4.. that is free becomes its name, and its key expires with the guest.
--
-- KEYS 1 player, 2 login, 3 players by name, 4.. keys of the names that are tried (guest-name:...)
-- ARGV 1 player, 2 shown name if none of them is free, 3 kind, 4 skill, 5 lifetime of the login [s],
--      6.. of each name of KEYS 4..: shown name, normalised name
-- Returns {OK, shown name} | ERR token_taken
local player_key, login_key, names_key = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', player_key) == 1 then
    return refuse('token_taken', ARGV[1])
end
local shown = ARGV[2]
for i = 4, #KEYS do
    local at = 2 * i - 2
    if redis.call('HEXISTS', names_key, ARGV[at + 1]) == 0
        and redis.call('SET', KEYS[i], ARGV[1], 'NX', 'EX', ARGV[5]) then
        shown = ARGV[at]
        break
    end
end
redis.call('HSET', player_key, 'name', shown, 'kind', ARGV[3], 'skill', ARGV[4], 'guest', '1', 'xp', '0',
    'created_at', whole(now_ms()))
redis.call('EXPIRE', player_key, ARGV[5])
redis.call('SET', login_key, ARGV[1], 'EX', ARGV[5])
return {'OK', shown}

--@include lifecycle
--@include full
-- Adds the experience and writes the new ratings of the players of an ended session, once.
--
-- KEYS 1 session, 2 leaderboard of its mode, 3.. player of each
-- ARGV 1 mode, then for each player: player; mu and sigma of the rating as they were read ('' for none); the new mu and
--      sigma; leaderboard value, or '' for a player who is not rated; experience; 1 if the player won, else 0
-- Returns {OK, 1} | {OK, 0}: already done, or nothing to do | {RETRY}: a rating has changed since it was read
local session_key, leaderboard_key = KEYS[1], KEYS[2]
local about = redis.call('HMGET', session_key, 'status', 'awarded')
if about[1] ~= STATUS.ENDED or about[2] then
    return {'OK', '0'}
end
write_even_if_full(session_key)
local mode = ARGV[1]
local mu_field, sigma_field = 'mu.' .. mode, 'sigma.' .. mode
for i = 3, #KEYS do
    local player_key = KEYS[i]
    local at = 2 + (i - 3) * 8
    local stored = redis.call('HMGET', player_key, mu_field, sigma_field)
    if (stored[1] or '') ~= ARGV[at + 1] or (stored[2] or '') ~= ARGV[at + 2] then
        return {'RETRY'}
    end
end
redis.call('HSET', session_key, 'awarded', '1')
for i = 3, #KEYS do
    local player_key = KEYS[i]
    local at = 2 + (i - 3) * 8
    if redis.call('HEXISTS', player_key, 'kind') == 1 then
        redis.call('HINCRBY', player_key, 'xp', ARGV[at + 6])
        redis.call('HINCRBY', player_key, 'played', '1')
        redis.call('HINCRBY', player_key, 'played.' .. mode, '1')
        redis.call('HINCRBY', player_key, 'won', ARGV[at + 7])
        if ARGV[at + 5] ~= '' then
            redis.call('HSET', player_key, mu_field, ARGV[at + 3], sigma_field, ARGV[at + 4],
                'rating.' .. mode, ARGV[at + 5])
            redis.call('ZADD', leaderboard_key, ARGV[at + 5], ARGV[at])
        end
    end
end
return {'OK', '1'}

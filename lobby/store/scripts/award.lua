--@include clock
--@include lifecycle
--@include full
-- Adds the experience and writes the new ratings of the players of an ended session, once, and adds it to the matches
-- of each, which expire with the player. Counts who met. The session keeps the ratings before and after.
--
-- KEYS 1 session, 2 leaderboard of its mode, 3 meetings of its mode on the day of its end, 4.. player of each,
--      then the matches of each
-- ARGV 1 mode, 2 lifetime of the meetings [ms], 3 index of the oldest match that a player keeps, 4 count of pairs of
--      players who met, then for each pair: its field of the meetings, the count as it was read; then for each player:
--      player; mu and sigma of the rating as they were read ('' for none); the new mu and sigma; leaderboard value, or
--      '' for a player who is not rated; experience; 1 if the player won, else 0; JSON of this match
-- Returns {OK, 1} | {OK, 0}: already done, or nothing to do | {RETRY}: a rating or a count has changed since it was
--      read
local session_key, leaderboard_key, meetings_key = KEYS[1], KEYS[2], KEYS[3]
local about = redis.call('HMGET', session_key, 'status', 'awarded')
if about[1] ~= STATUS.ENDED or about[2] then
    return {'OK', '0'}
end
write_even_if_full(session_key)
local mode = ARGV[1]
local mu_field, sigma_field = 'mu.' .. mode, 'sigma.' .. mode
local first = 5 + 2 * tonumber(ARGV[4])
local count = (#KEYS - 3) / 2
for i = 5, first - 2, 2 do
    if (redis.call('HGET', meetings_key, ARGV[i]) or '0') ~= ARGV[i + 1] then
        return {'RETRY'}
    end
end
for i = 4, 3 + count do
    local player_key = KEYS[i]
    local at = first + (i - 4) * 9
    local stored = redis.call('HMGET', player_key, mu_field, sigma_field)
    if (stored[1] or '') ~= ARGV[at + 1] or (stored[2] or '') ~= ARGV[at + 2] then
        return {'RETRY'}
    end
end
redis.call('HSET', session_key, 'awarded', '1')
local changes = {}
for i = 5, first - 2, 2 do
    redis.call('HINCRBY', meetings_key, ARGV[i], '1')
    redis.call('PEXPIRE', meetings_key, ARGV[2])
end
for i = 4, 3 + count do
    local player_key, matches_key = KEYS[i], KEYS[i + count]
    local at = first + (i - 4) * 9
    if redis.call('HEXISTS', player_key, 'kind') == 1 then
        redis.call('HINCRBY', player_key, 'xp', ARGV[at + 6])
        redis.call('HINCRBY', player_key, 'played', '1')
        redis.call('HINCRBY', player_key, 'played.' .. mode, '1')
        redis.call('HINCRBY', player_key, 'won', ARGV[at + 7])
        if ARGV[at + 5] ~= '' then
            local before = redis.call('HGET', player_key, 'rating.' .. mode)
            changes[#changes + 1] = {player = ARGV[at], before = before and tonumber(before) or cjson.null,
                after = tonumber(ARGV[at + 5])}
            redis.call('HSET', player_key, mu_field, ARGV[at + 3], sigma_field, ARGV[at + 4],
                'rating.' .. mode, ARGV[at + 5])
            redis.call('ZADD', leaderboard_key, ARGV[at + 5], ARGV[at])
        end
        redis.call('LPUSH', matches_key, ARGV[at + 8])
        redis.call('LTRIM', matches_key, '0', ARGV[3])
        local life = redis.call('PTTL', player_key)
        if life > 0 then
            redis.call('PEXPIRE', matches_key, whole(life))
        end
    end
end
if #changes > 0 then
    redis.call('HSET', session_key, 'ratings', cjson.encode(changes))
end
return {'OK', '1'}

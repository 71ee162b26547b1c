--@include scene
-- Gives locks back. A lock that has another token or another holder is not changed.
--
-- KEYS locks
-- ARGV 1 wake channel, 2 player, then for each lock: body, token
-- Returns {OK, number of locks that were given back}
local wake, player = ARGV[1], ARGV[2]
local freed = 0
for i = 1, #KEYS do
    local lock_key = KEYS[i]
    local held, _, holder = read_lock(lock_key)
    if held == ARGV[2 * i + 2] and holder == player then
        redis.call('DEL', lock_key)
        publish_lock(wake, ARGV[2 * i + 1], 'null')
        freed = freed + 1
    end
end
return {'OK', whole(freed)}

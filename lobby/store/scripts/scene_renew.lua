--@include scene
-- Renews locks of a player while its connection lives. If the lobby does not wait any more, or the player has lost its
-- seat, the locks are deleted instead.
--
-- KEYS 1 session, 2 session players, then locks
-- ARGV 1 wake channel, 2 player, 3 lifetime [ms], then for each lock: body, token
-- Returns {OK, for each lock 1: renewed, or 0: it is lost}
local session_key, players_key = KEYS[1], KEYS[2]
local wake, player = ARGV[1], ARGV[2]
local kept = WAITING[redis.call('HGET', session_key, 'status') or '']
    and redis.call('SISMEMBER', players_key, player) == 1
local reply = {'OK'}
for i = 3, #KEYS do
    local lock_key = KEYS[i]
    local body, lock = ARGV[2 * i - 2], ARGV[2 * i - 1]
    reply[i - 1] = '0'
    if read_lock(lock_key) == lock then
        if kept then
            redis.call('PEXPIRE', lock_key, ARGV[3])
            reply[i - 1] = '1'
        else
            redis.call('DEL', lock_key)
            publish_lock(wake, body, 'null')
        end
    end
end
return reply

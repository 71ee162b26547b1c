--@include scene
-- Renews locks while their connections live. After the lobby has waited, locks are deleted instead.
--
-- KEYS 1 session, then locks
-- ARGV 1 lifetime [ms], then the token of each lock
-- Returns {OK, for each lock 1: renewed, or 0: it is lost}
local session_key = KEYS[1]
local waiting = WAITING[redis.call('HGET', session_key, 'status') or '']
local reply = {'OK'}
for i = 2, #KEYS do
    local lock_key = KEYS[i]
    reply[i] = '0'
    if read_lock(lock_key) == ARGV[i] then
        if waiting then
            redis.call('PEXPIRE', lock_key, ARGV[1])
            reply[i] = '1'
        else
            redis.call('DEL', lock_key)
        end
    end
end
return reply

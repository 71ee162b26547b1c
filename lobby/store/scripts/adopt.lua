--@include lifecycle
-- Repairs a session that is on no index: adds it to the index of its status. If its hash is gone, sets an expiry on the
-- keys that are left.
--
-- KEYS 1 session, 2 waiting index, 3 running index, 4 ended index, 5.. keys found under its token
-- ARGV 1 session token, 2 expiry of the keys that are left [ms]
-- Returns {OK, indexed | expiring | known}; known: nothing was changed
local session_key, waiting_key, running_key, ended_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token = ARGV[1]
if redis.call('ZSCORE', waiting_key, token) or redis.call('ZSCORE', running_key, token)
    or redis.call('ZSCORE', ended_key, token) then
    return {'OK', 'known'}
end
local about = redis.call('HMGET', session_key, 'status', 'opened_at', 'started_at', 'ended_at')
local status = about[1]
if SETTING_UP[status] then
    redis.call('ZADD', waiting_key, about[2], token)
    return {'OK', 'indexed'}
end
if LIVE[status] then
    redis.call('ZADD', running_key, about[3], token)
    return {'OK', 'indexed'}
end
if status then
    redis.call('ZADD', ended_key, about[4], token)
    return {'OK', 'indexed'}
end
local answer = 'known'
for i = 5, #KEYS do
    if redis.call('PTTL', KEYS[i]) == -1 then
        redis.call('PEXPIRE', KEYS[i], ARGV[2])
        answer = 'expiring'
    end
end
return {'OK', answer}

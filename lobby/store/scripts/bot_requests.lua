--@include clock
-- A bot process looks for lobbies that want bots, which also says that it is running. What has expired is removed.
--
-- KEYS 1 requests for bots, 2 bot processes
-- ARGV 1 player of the process, 2 time after which a process that does not look counts as gone [ms], 3 most lobbies
-- Returns {OK, session token...}, the oldest request first
local requests_key, processes_key = KEYS[1], KEYS[2]
local MOST_PROCESSES = 1000
local at = now_ms()
redis.call('ZADD', processes_key, whole(at), ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', processes_key, '-inf', whole(at - tonumber(ARGV[2])))) do
    redis.call('ZREM', processes_key, gone)
end
if redis.call('ZCARD', processes_key) > MOST_PROCESSES then
    redis.call('ZREM', processes_key, redis.call('ZRANGE', processes_key, '0', '0')[1])
end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', requests_key, '-inf', whole(at))) do
    redis.call('ZREM', requests_key, old)
end
local found = redis.call('ZRANGE', requests_key, '0', whole(tonumber(ARGV[3]) - 1))
table.insert(found, 1, 'OK')
return found

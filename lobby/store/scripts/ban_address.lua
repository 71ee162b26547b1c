--@include clock
-- Bans an address for some time, or lifts its ban. Every server is ordered to read the bans again. Those that are over
-- leave the index.
--
-- KEYS 1 banned addresses: address -> end of the ban [ms], 2 orders
-- ARGV 1 address, 2 length of the ban [ms]; 0: lift it, 3 player id of the operator, 4 orders that the stream keeps,
--      5 most addresses
-- Returns {OK, end of the ban [ms] or 0} | ERR too_many_bans
local banned_key, orders_key = KEYS[1], KEYS[2]
local now = now_ms()
for _, over in ipairs(redis.call('ZRANGEBYSCORE', banned_key, '-inf', whole(now), 'LIMIT', '0', '1000')) do
    redis.call('ZREM', banned_key, over)
end
local ends = '0'
if ARGV[2] == '0' then
    redis.call('ZREM', banned_key, ARGV[1])
else
    if not redis.call('ZSCORE', banned_key, ARGV[1]) and redis.call('ZCARD', banned_key) >= tonumber(ARGV[5]) then
        return refuse('too_many_bans', 'at most ' .. ARGV[5] .. ' addresses are banned at once')
    end
    ends = whole(now + tonumber(ARGV[2]))
    redis.call('ZADD', banned_key, ends, ARGV[1])
end
redis.call('XADD', orders_key, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'addresses', 'target', ARGV[1], 'text', '',
    'by', ARGV[3])
return {'OK', ends}

--@include clock
-- A server renews its lease, if it still has it.
--
-- KEYS 1 lease of the server, 2 servers
-- ARGV 1 server, 2 nonce, 3 lifetime of the lease [ms], 4 number of sessions that it runs, 5.. their tokens
-- Returns {OK, 1} | {OK, 0}: the lease is lost
local lease_key, servers_key = KEYS[1], KEYS[2]
if redis.call('HGET', lease_key, 'nonce') ~= ARGV[2] then
    return {'OK', '0'}
end
redis.call('PEXPIRE', lease_key, ARGV[3]) -- first: it needs no memory, so a full store allows the writes after it
redis.call('HSET', lease_key, 'sessions', ARGV[4])
for i = 5, #ARGV do
    redis.call('HSET', lease_key, 'held:' .. ARGV[i], '1')
end
redis.call('ZADD', servers_key, whole(now_ms()), ARGV[1] .. ':' .. ARGV[2])
return {'OK', '1'}

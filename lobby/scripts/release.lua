-- A server gives its lease back, or a lease that has ended is forgotten.
--
-- KEYS 1 lease of the server, 2 servers
-- ARGV 1 server, 2 nonce, or '' to forget a lease that has ended
-- Returns {OK, 1} | {OK, 0}: it is not this boot's
local lease_key, servers_key = KEYS[1], KEYS[2]
local nonce = redis.call('HGET', lease_key, 'nonce')
if nonce and nonce ~= ARGV[2] then
    return {'OK', '0'}
end
redis.call('DEL', lease_key)
redis.call('ZREM', servers_key, ARGV[1])
return {'OK', '1'}

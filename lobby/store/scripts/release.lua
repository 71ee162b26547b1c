-- A server gives up its lease. The time of its last renewal is kept: a later claim of one of its sessions reads it.
--
-- KEYS 1 lease of the server
-- ARGV 1 nonce
-- Returns {OK, 1} | {OK, 0}: this boot does not have it
local lease_key = KEYS[1]
if redis.call('HGET', lease_key, 'nonce') ~= ARGV[1] then
    return {'OK', '0'}
end
redis.call('DEL', lease_key)
return {'OK', '1'}

-- A server gives its lease back. Its last renewal stays known: it says since when nobody holds what it leaves behind.
--
-- KEYS 1 lease of the server
-- ARGV 1 nonce
-- Returns {OK, 1} | {OK, 0}: it is not this boot's
local lease_key = KEYS[1]
if redis.call('HGET', lease_key, 'nonce') ~= ARGV[1] then
    return {'OK', '0'}
end
redis.call('DEL', lease_key)
return {'OK', '1'}

--@include clock
-- A server takes its lease. When the same boot takes it again, after a silence, its last renewal is left for one more
-- period: until then its runs say what their turn clocks had left.
--
-- KEYS 1 lease of the server, 2 servers: "server:nonce" -> last renewal, which says since when a boot holds nothing
-- ARGV 1 server, 2 nonce of this boot, 3 url, 4 physics id, 5 life of the lease [ms],
--      6 url for other servers
-- Returns {OK} | ERR server_id_taken: another boot holds that name
local lease_key, servers_key = KEYS[1], KEYS[2]
local nonce = redis.call('HGET', lease_key, 'nonce')
if nonce and nonce ~= ARGV[2] then
    return refuse('server_id_taken', 'another server is named ' .. ARGV[1] .. '; if it is dead, its lease will end')
end
local at = whole(now_ms())
redis.call('HSET', lease_key, 'nonce', ARGV[2], 'url', ARGV[3], 'physics_id', ARGV[4], 'started_at', at,
    'sessions', '0', 'internal_url', ARGV[6])
redis.call('PEXPIRE', lease_key, ARGV[5])
redis.call('ZADD', servers_key, 'NX', at, ARGV[1] .. ':' .. ARGV[2])
return {'OK'}

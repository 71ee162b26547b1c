--@include clock
-- A server takes its lease. If the same boot takes it again after it expired, the stored time of the last renewal stays
-- until the next renewal, so that the runs of this server can first store the remaining time of their turns.
--
-- KEYS 1 lease of the server, 2 servers: "server:nonce" -> last renewal; a claim stops the turn clock as of this time
-- ARGV 1 server, 2 nonce of this boot, 3 url, 4 physics id, 5 lifetime of the lease [ms],
--      6 url for other servers, 7 most sessions that it holds, or 0
-- Returns {OK} | ERR server_id_taken: another boot has this server id
local lease_key, servers_key = KEYS[1], KEYS[2]
local nonce = redis.call('HGET', lease_key, 'nonce')
if nonce and nonce ~= ARGV[2] then
    return refuse('server_id_taken', 'another server is named ' .. ARGV[1] .. '; if it is dead, its lease will end')
end
local at = whole(now_ms())
redis.call('HSET', lease_key, 'nonce', ARGV[2], 'url', ARGV[3], 'physics_id', ARGV[4], 'started_at', at,
    'sessions', '0', 'internal_url', ARGV[6], 'max_sessions', ARGV[7])
redis.call('PEXPIRE', lease_key, ARGV[5])
redis.call('ZADD', servers_key, 'NX', at, ARGV[1] .. ':' .. ARGV[2])
return {'OK'}

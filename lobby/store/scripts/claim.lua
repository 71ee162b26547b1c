--@include turn_clock
--@include lifecycle
--@include full
-- Assigns a session whose holder is dead to a new holder. The turn clock stops as of the last renewal of the old
-- holder's lease, and continues when the world is restored.
--
-- KEYS 1 session, 2 lease of the old holder, 3 lease of the new one, 4 servers
-- ARGV 1 old holder, 2 its nonce, 3 new holder, 4 its nonce, 5 its url
-- Returns {OK, 1} | {OK, 0}: the session is over, another server claimed it, or the old holder is alive
--      | ERR fenced: the new holder has no lease
local session_key, old_lease, new_lease, servers_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', new_lease, 'nonce') ~= ARGV[4] then
    return refuse('fenced', 'the lease of this server is gone')
end
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce', 'unheld_at')
if not HELD[about[1]]
    or about[2] ~= ARGV[1] or about[3] ~= ARGV[2] or redis.call('HGET', old_lease, 'nonce') == ARGV[2] then
    return {'OK', '0'}
end
write_even_if_full(session_key)
-- A holder that died before it restored the session never ran its clock: the earlier claim has stopped it.
local last = about[4]
if not last then
    last = redis.call('ZSCORE', servers_key, ARGV[1] .. ':' .. ARGV[2]) or whole(now_ms())
    stop_turn(session_key, tonumber(last))
end
redis.call('HINCRBY', session_key, 'epoch', '1')
redis.call('HSET', session_key, 'holder', ARGV[3], 'holder_nonce', ARGV[4], 'holder_url', ARGV[5],
    'unheld_at', whole(last))
return {'OK', '1'}

--@include fence
--@include turn_clock
--@include full
-- The holder hands a running session over to another server. From then on, writes with the old fence are refused.
--
-- KEYS 1 session, 2 lease of the new holder, 3 lifecycle (its channel has the same name)
-- ARGV 1 server, 2 nonce, 3 epoch, 4 new holder, 5 its nonce, 6 its url, 7 session token
-- Returns {OK, 1} | {OK, 0}: the new holder has no lease; nothing changed | ERR fenced
local session_key, lease_key, lifecycle_key = KEYS[1], KEYS[2], KEYS[3]
local refusal = check_fence(session_key, ARGV[1], ARGV[2], ARGV[3], LIVE)
if refusal then
    return refusal
end
if redis.call('HGET', lease_key, 'nonce') ~= ARGV[5] then
    return {'OK', '0'}
end
write_even_if_full(session_key)
local at = now_ms()
stop_turn(session_key, at)
redis.call('HINCRBY', session_key, 'epoch', '1')
redis.call('HSET', session_key, 'holder', ARGV[4], 'holder_nonce', ARGV[5], 'holder_url', ARGV[6],
    'unheld_at', whole(at))
redis.call('PUBLISH', lifecycle_key, ARGV[7] .. ' handed_over')
return {'OK', '1'}

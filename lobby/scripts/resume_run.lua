--@include session
-- The holder of a session that runs already fences it anew, to stand its world up again.
--
-- KEYS 1-12 the session (parts/session.lua), 13 lease of the server
-- ARGV 1-3 the session, 4 server, 5 its nonce
-- Returns {OK, epoch, mode, size, scene, params, events_tick, seat, player, seat, player, ...}
--      | ERR not_found, not_running, fenced
local lease_key = KEYS[13]
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce', 'mode', 'size', 'scene', 'params',
    'events_tick')
if not about[1] then
    return refuse('not_found', 'no such session')
end
if about[1] ~= 'running' and about[1] ~= 'paused' then
    return refuse('not_running', 'the session is ' .. about[1])
end
if about[2] ~= ARGV[4] or about[3] ~= ARGV[5] or redis.call('HGET', lease_key, 'nonce') ~= ARGV[5] then
    return refuse('fenced', 'another server holds the session')
end
local epoch = redis.call('HINCRBY', session_key, 'epoch', '1')
local reply = {'OK', whole(epoch), about[4], about[5], about[6], about[7], about[8]}
for seat = 0, tonumber(about[5]) - 1 do
    reply[#reply + 1] = whole(seat)
    reply[#reply + 1] = redis.call('HGET', seats_key, whole(seat))
end
return reply

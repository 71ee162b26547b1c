--@include session
--@include full
-- The holder begins or resumes a session, before it builds or restores the world. The epoch increases, so that writes
-- with the fence of an earlier claim are refused.
--
-- KEYS 1-12 the session (parts/session.lua), 13 lease of the server
-- ARGV 1-3 the session, 4 server, 5 its nonce, 6 'begin': the session is starting, or 'resume': it is live
-- Returns {OK, epoch, mode, size, hash of the scene, params, events_tick, seat, player, seat, player, ...}
--      | ERR not_found, not_starting ('begin'), not_running ('resume'), fenced
local lease_key = KEYS[13]
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce', 'mode', 'size', 'scene', 'params',
    'events_tick')
if not about[1] then
    return refuse('not_found', 'no such session')
end
if ARGV[6] == 'begin' and about[1] ~= STATUS.STARTING then
    return refuse('not_starting', 'the session is ' .. about[1])
end
if ARGV[6] == 'resume' and not LIVE[about[1]] then
    return refuse('not_running', 'the session is ' .. about[1])
end
if about[2] ~= ARGV[4] or about[3] ~= ARGV[5] then
    return refuse('fenced', 'another server holds the session')
end
if redis.call('HGET', lease_key, 'nonce') ~= ARGV[5] then
    return refuse('fenced', 'the lease of this server is gone')
end
write_even_if_full(session_key)
local epoch = redis.call('HINCRBY', session_key, 'epoch', '1')
local reply = {'OK', whole(epoch), about[4], about[5], about[6], about[7], about[8] or '0'}
for seat = 0, tonumber(about[5]) - 1 do
    reply[#reply + 1] = whole(seat)
    reply[#reply + 1] = redis.call('HGET', seats_key, whole(seat))
end
return reply

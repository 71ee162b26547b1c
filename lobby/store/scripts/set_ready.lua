--@include seating
-- A member says whether it is ready. The session starts here if it was the last one awaited.
--
-- KEYS 1-12 the session (parts/session.lua), 13 session player
-- ARGV 1-3 the session, 4 player, 5 ready 0|1
-- Returns {OK} | ERR not_found, not_member, not_open
local member_key = KEYS[13]
local player = ARGV[4]
local status = redis.call('HGET', session_key, 'status')
if not status then
    return refuse('not_found', 'no such session')
end
local member = redis.call('HMGET', member_key, 'seat', 'ready')
if not member[1] then
    return refuse('not_member', 'you have no seat in this session')
end
if status ~= 'open' and status ~= 'filled' then
    return refuse('not_open', 'the lobby is ' .. status)
end
if member[2] ~= ARGV[5] then
    redis.call('HSET', member_key, 'ready', ARGV[5])
    await_member(member_key, player)
    emit('seat_ready', {seat = tonumber(member[1]), player = player, ready = ARGV[5] == '1'})
    start_if_ready()
end
return {'OK'}

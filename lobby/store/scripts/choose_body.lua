--@include session
-- A member chooses its body while the lobby waits.
--
-- KEYS 1-12 the session (parts/session.lua), 13 session player
-- ARGV 1-3 the session, 4 player, 5 body
-- Returns {OK} | ERR not_found, not_member, not_open
local member_key = KEYS[13]
local status = redis.call('HGET', session_key, 'status')
if not status then
    return refuse('not_found', 'no such session')
end
local member = redis.call('HMGET', member_key, 'seat', 'body')
if not member[1] then
    return refuse('not_member', 'you have no seat in this session')
end
if status ~= 'open' and status ~= 'filled' then
    return refuse('not_open', 'the lobby is ' .. status)
end
if member[2] ~= ARGV[5] then
    redis.call('HSET', member_key, 'body', ARGV[5])
    redis.call('HSET', session_key, 'body.' .. member[1], ARGV[5])
    emit('body_chosen', {seat = tonumber(member[1]), player = ARGV[4], body = ARGV[5]})
end
return {'OK'}

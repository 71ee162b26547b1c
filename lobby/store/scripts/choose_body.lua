--@include member
-- A member chooses its body while the lobby waits.
--
-- KEYS 1-12 the session (parts/session.lua), 13 session player
-- ARGV 1-3 the session, 4 player, 5 body
-- Returns {OK} | ERR not_found, not_member, not_open, fixed_body: of a fork
local member_key = KEYS[13]
local seat, body, refusal = read_waiting_member(member_key, 'body')
if refusal then
    return refusal
end
if redis.call('HEXISTS', session_key, 'fixed.' .. seat) == 1 then
    return refuse('fixed_body', 'the bodies of a fork are those of its first state')
end
if body ~= ARGV[5] then
    redis.call('HSET', member_key, 'body', ARGV[5])
    redis.call('HSET', session_key, 'body.' .. seat, ARGV[5])
    emit('body_chosen', {seat = tonumber(seat), player = ARGV[4], body = ARGV[5]})
end
return {'OK'}

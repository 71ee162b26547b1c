--@include member
--@include seating
-- Sets whether a member is ready. Starts the session if all seats are taken and all members are connected and ready.
--
-- KEYS 1-12 the session (parts/session.lua), 13 session player
-- ARGV 1-3 the session, 4 player, 5 ready 0|1
-- Returns {OK} | ERR not_found, not_member, not_open
local member_key = KEYS[13]
local player = ARGV[4]
local seat, ready, refusal = read_waiting_member(member_key, 'ready')
if refusal then
    return refusal
end
if ready ~= ARGV[5] then
    redis.call('HSET', member_key, 'ready', ARGV[5])
    await_member(member_key, player)
    emit('seat_ready', {seat = tonumber(seat), player = player, ready = ARGV[5] == '1'})
    start_if_ready()
end
return {'OK'}

--@include replay_room
-- Sets the expiry on the keys of a replay room that has ended. A repeated call changes nothing.
--
-- KEYS 1 room, 2.. the other keys of the room that expire
-- ARGV 1 time from its end to the expiry [ms]
-- Returns {OK, 1} | {OK, 0}: it is gone, or is open again
local room_key = KEYS[1]
local about = redis.call('HMGET', room_key, 'status', 'ended_at')
if about[1] ~= REPLAY_ROOM.ENDED then
    return {'OK', '0'}
end
local at = whole(tonumber(about[2]) + tonumber(ARGV[1]))
for i = 1, #KEYS do
    redis.call('PEXPIREAT', KEYS[i], at)
end
return {'OK', '1'}

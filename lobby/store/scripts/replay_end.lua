--@include replay_room
-- Ends a replay room whose members have all lapsed, because their servers died; and removes a room whose keys have
-- expired from the index. A repeated call changes nothing.
--
-- KEYS 1 room, 2 members, 3 index of rooms, 4 lifecycle
-- ARGV 1 token of the recording, 2 lifecycle channel
-- Returns {OK, the event that it caused or ''}
local room_key, members_key, rooms_key, lifecycle_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local status = redis.call('HGET', room_key, 'status')
if not status then
    if redis.call('ZREM', rooms_key, ARGV[1]) == 0 then
        return {'OK', ''}
    end
    announce_replay_room(lifecycle_key, ARGV[2], ARGV[1], REPLAY_ROOM_EVENT.EXPIRED)
    return {'OK', REPLAY_ROOM_EVENT.EXPIRED}
end
local present = redis.call('ZRANGEBYSCORE', members_key, '(' .. whole(now_ms()), '+inf', 'LIMIT', '0', '1')
if status ~= REPLAY_ROOM.OPEN or #present > 0 then
    return {'OK', ''}
end
redis.call('HSET', room_key, 'status', REPLAY_ROOM.ENDED, 'ended_at', whole(now_ms()))
announce_replay_room(lifecycle_key, ARGV[2], ARGV[1], REPLAY_ROOM_EVENT.ENDED)
return {'OK', REPLAY_ROOM_EVENT.ENDED}

--@include presence
--@include replay_room
-- Updates the members of a replay room. The first member opens the room, the last one ends it. Each server renews its
-- own members, and with them the room's keys; without them all keys of the room expire.
--
-- KEYS 1 room, 2 presenter, 3 members, 4 chat, 5 bookmarks, 6 views, 7 index of rooms, 8 lifecycle
-- ARGV 1 token of the recording, 2 channel of the room, 3 lifecycle channel, 4 lifetime of the open room [ms],
--      5 lifetime of bookmarks and views [ms], 0 for ever, 6 lifetime of a member [ms], 7 count of the members on this
--      server, then these members, then those that have left
-- Returns {OK, 1 if the list changed else 0}
local room_key, members_key, chat_key, rooms_key, lifecycle_key = KEYS[1], KEYS[3], KEYS[4], KEYS[7], KEYS[8]
local status = redis.call('HGET', room_key, 'status')
local here = tonumber(ARGV[7])
if here > 0 and status ~= REPLAY_ROOM.OPEN then
    local at = whole(now_ms())
    redis.call('HSET', room_key, 'status', REPLAY_ROOM.OPEN, 'opened_at', at)
    redis.call('HDEL', room_key, 'ended_at')
    redis.call('ZADD', rooms_key, at, ARGV[1])
    announce_replay_room(lifecycle_key, ARGV[3], ARGV[1], REPLAY_ROOM_EVENT.OPENED)
    status = REPLAY_ROOM.OPEN
end
local changed = update_presence(members_key, tonumber(ARGV[6]), 8, here)
if here > 0 then
    redis.call('PEXPIRE', room_key, ARGV[4])
    redis.call('PEXPIRE', chat_key, ARGV[4])
    for i = 5, 6 do
        if ARGV[5] == '0' then
            redis.call('PERSIST', KEYS[i])
        else
            redis.call('PEXPIRE', KEYS[i], ARGV[5])
        end
    end
elseif status == REPLAY_ROOM.OPEN and redis.call('ZCARD', members_key) == 0 then
    redis.call('HSET', room_key, 'status', REPLAY_ROOM.ENDED, 'ended_at', whole(now_ms()))
    announce_replay_room(lifecycle_key, ARGV[3], ARGV[1], REPLAY_ROOM_EVENT.ENDED)
end
if changed > 0 then
    redis.call('PUBLISH', ARGV[2], 'presence')
end
return {'OK', changed > 0 and '1' or '0'}

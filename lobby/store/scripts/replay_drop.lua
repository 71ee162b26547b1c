--@include marks
-- Removes a bookmark or a named view and publishes that.
--
-- KEYS 1 bookmarks or views
-- ARGV 1 channel of the room, 2 id or name, 3 message to the members, 4 player, 5 operator 0|1
-- Returns {OK} | ERR no_such_mark, not_author
local marks_key = KEYS[1]
local stored = redis.call('HGET', marks_key, ARGV[2])
if not stored then
    return refuse('no_such_mark', 'there is none')
end
if not may_change(stored, ARGV[4], ARGV[5]) then
    return refuse('not_author', 'only its author or an operator may remove it')
end
redis.call('HDEL', marks_key, ARGV[2])
redis.call('PUBLISH', ARGV[1], ARGV[3])
return {'OK'}

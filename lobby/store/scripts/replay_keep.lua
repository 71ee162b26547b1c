--@include marks
-- Keeps a bookmark or a named view with a recording and publishes it. One with the same id or name is replaced.
--
-- KEYS 1 room or session, which must exist, 2 bookmarks or views
-- ARGV 1 channel of the room, 2 lifetime of the marks [ms], 0 for ever, 3 most marks, 4 id or name, 5 the mark (JSON),
--      6 message to the members, 7 player, 8 operator 0|1
-- Returns {OK} | ERR not_found, not_author, too_many_marks
local place_key, marks_key = KEYS[1], KEYS[2]
if redis.call('EXISTS', place_key) == 0 then
    return refuse('not_found', 'there is no such room or session')
end
local stored = redis.call('HGET', marks_key, ARGV[4])
if stored and not may_change(stored, ARGV[7], ARGV[8]) then
    return refuse('not_author', 'only its author or an operator may change it')
end
if not stored and redis.call('HLEN', marks_key) >= tonumber(ARGV[3]) then
    return refuse('too_many_marks', 'the recording has ' .. ARGV[3] .. ' of them')
end
redis.call('HSET', marks_key, ARGV[4], ARGV[5])
if ARGV[2] ~= '0' then
    redis.call('PEXPIRE', marks_key, ARGV[2])
end
redis.call('PUBLISH', ARGV[1], ARGV[6])
return {'OK'}

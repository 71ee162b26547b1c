--@include events
--@include lifecycle
-- Appends a line of chat, once per command id.
--
-- KEYS 1 session, 2 session events, 3 session player
-- ARGV 1 wake channel, 2 player, 3 command id, 4 text
-- Returns {OK, 1} | {OK, 0}: the command id was used before | ERR not_found, not_member, ended
local session_key, events_key, member_key = KEYS[1], KEYS[2], KEYS[3]
local about = redis.call('HMGET', session_key, 'status', 'tick', 'epoch')
local status = about[1]
if not status then
    return refuse('not_found', 'no such session')
end
if ENDED[status] then
    return refuse('ended', 'the session has ended')
end
local member = redis.call('HMGET', member_key, 'seat', 'name', 'left', 'chat_id')
if not member[1] or member[3] == '1' then
    return refuse('not_member', 'you have no seat in this session')
end
if member[4] and tonumber(ARGV[3]) <= tonumber(member[4]) then
    return {'OK', '0'}
end
redis.call('HSET', member_key, 'chat_id', ARGV[3])
append_event(session_key, events_key, ARGV[1], 'chat', cjson.encode(
    {seat = tonumber(member[1]), player = ARGV[2], name = member[2], text = ARGV[4]}), about[2], about[3])
return {'OK', '1'}

--@include replay_room
-- Appends a line to the chat of a replay room and publishes it.
--
-- KEYS 1 room, 2 chat
-- ARGV 1 channel of the room, 2 lifetime of the open room [ms], 3 lines that are kept, 4 player, 5 name, 6 text
-- Returns {OK, n} | ERR not_found
local room_key, chat_key = KEYS[1], KEYS[2]
local refusal = check_open(room_key)
if refusal then
    return refusal
end
local n, at = whole(redis.call('HINCRBY', room_key, 'chat', '1')), whole(now_ms())
redis.call('XADD', chat_key, 'MAXLEN', ARGV[3], n .. '-0', 'player', ARGV[4], 'name', ARGV[5], 'text', ARGV[6],
    'at', at)
redis.call('PEXPIRE', chat_key, ARGV[2])
redis.call('PUBLISH', ARGV[1], '{"t":"chat","d":{"n":' .. n .. ',"player":' .. cjson.encode(ARGV[4]) .. ',"name":'
    .. cjson.encode(ARGV[5]) .. ',"text":' .. cjson.encode(ARGV[6]) .. ',"at":' .. at .. '}}')
return {'OK', n}

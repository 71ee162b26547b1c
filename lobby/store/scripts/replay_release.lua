--@include replay_room
-- Takes the presenter's token of a replay room back from a connection.
--
-- KEYS 1 presenter
-- ARGV 1 channel of the room, 2 connection
-- Returns {OK, 1} | {OK, 0}: the connection does not have it
local presenter_key = KEYS[1]
local held = read_presenter(presenter_key)
if not held or held.connection ~= ARGV[2] then
    return {'OK', '0'}
end
redis.call('DEL', presenter_key)
redis.call('PUBLISH', ARGV[1], presenter_message(nil, nil, held.grant))
return {'OK', '1'}

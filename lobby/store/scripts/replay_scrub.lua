--@include replay_room
-- Moves a replay room: checks the presenter's token, renews it, and publishes the message to the members.
--
-- KEYS 1 room, 2 presenter
-- ARGV 1 channel of the room, 2 connection, 3 lifetime of the token [ms], 4 frame, 5 playing 0|1, 6 speed
-- Returns {OK, number of the grant, n} | ERR not_found, not_presenter
local room_key, presenter_key = KEYS[1], KEYS[2]
local refusal = check_open(room_key)
if refusal then
    return refusal
end
local held = read_presenter(presenter_key)
if not held or held.connection ~= ARGV[2] then
    return refuse('not_presenter', 'you do not have the token of the presenter')
end
redis.call('PEXPIRE', presenter_key, ARGV[3])
local grant, n = whole(held.grant), whole(redis.call('HINCRBY', room_key, 'n', '1'))
redis.call('HSET', room_key, 'grant', grant, 'frame', ARGV[4], 'playing', ARGV[5], 'speed', ARGV[6])
redis.call('PUBLISH', ARGV[1], '{"t":"scrub","d":{"grant":' .. grant .. ',"n":' .. n .. ',"frame":' .. ARGV[4]
    .. (ARGV[5] == '1' and ',"playing":true' or '') .. (ARGV[6] == '1.0' and '' or ',"speed":' .. ARGV[6]) .. '}}')
return {'OK', grant, n}

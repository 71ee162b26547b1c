--@include replay_room
-- Gives the presenter's token of a replay room to a connection, or renews it. Every grant has the next number.
--
-- KEYS 1 room, 2 presenter
-- ARGV 1 channel of the room, 2 player, 3 connection, 4 lifetime of the token [ms]
-- Returns {OK, number of the grant} | ERR not_found, presenter_taken
local room_key, presenter_key = KEYS[1], KEYS[2]
local refusal = check_open(room_key)
if refusal then
    return refusal
end
local held = read_presenter(presenter_key)
if held then
    if held.connection ~= ARGV[3] then
        return refuse('presenter_taken', 'somebody else presents')
    end
    redis.call('PEXPIRE', presenter_key, ARGV[4])
    return {'OK', whole(held.grant)}
end
local grant = redis.call('HINCRBY', room_key, 'grants', '1')
redis.call('SET', presenter_key, cjson.encode({player = ARGV[2], connection = ARGV[3], grant = grant}),
    'NX', 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], presenter_message(ARGV[2], ARGV[3], grant))
return {'OK', whole(grant)}

--@include clock
--@include lifecycle
-- The lifecycle of a replay room: open while it has a member, then ended, then expired.

-- Appends an event of a room to the lifecycle stream, and publishes it on the lifecycle channel as a hint.
local function announce_replay_room(lifecycle_key, channel, room, event)
    redis.call('XADD', lifecycle_key, '*', 'session', room, 'event', event, 'mode', '', 'size', '',
        'at', whole(now_ms()), 'reason', '', 'players', '')
    redis.call('PUBLISH', channel, room .. ' ' .. event)
end

-- Returns nil if the room is open, otherwise a refusal.
local function check_open(room_key)
    if redis.call('HGET', room_key, 'status') ~= REPLAY_ROOM.OPEN then
        return refuse('not_found', 'the replay room is not open')
    end
    return nil
end

-- Returns the presenter's token, decoded; nil if nobody has it.
local function read_presenter(presenter_key)
    local held = redis.call('GET', presenter_key)
    return held and cjson.decode(held) or nil
end

-- Returns the message to the members about who presents. player, connection: nil if nobody does.
local function presenter_message(player, connection, grant)
    return '{"t":"presenter","d":{"player":' .. (player and cjson.encode(player) or 'null') .. ',"grant":'
        .. whole(grant) .. ',"connection":' .. (connection and cjson.encode(connection) or 'null') .. '}}'
end

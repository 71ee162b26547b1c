--@include clock
--@include lifecycle
-- The turn clock of a session. While it runs, turn_ends_at says when the turn ends; while it is stopped (the
-- session is paused, or its world is not restored yet) turn_left_ms is the remaining time.

-- A turn of so many ms begins at a time [ms]. Returns when it ends.
local function begin_turn(session_key, at, length_ms)
    local ends_at = at + tonumber(length_ms)
    redis.call('HSET', session_key, 'turn_ends_at', whole(ends_at))
    if redis.call('HGET', session_key, 'status') == STATUS.PAUSED then
        redis.call('HSET', session_key, 'turn_left_ms', length_ms)
    else
        redis.call('HDEL', session_key, 'turn_left_ms')
    end
    return ends_at
end

-- Stops it as of a time [ms]. Of two reasons to stand the earlier one counts.
local function stop_turn(session_key, at)
    local clock = redis.call('HMGET', session_key, 'turn_ends_at', 'turn_left_ms')
    if not clock[1] or clock[1] == '0' then
        return
    end
    local left = tonumber(clock[1]) - at
    if left < 0 then
        left = 0
    end
    if not clock[2] or tonumber(clock[2]) < left then
        redis.call('HSET', session_key, 'turn_left_ms', whole(left))
    end
end

-- Lets it go on from a time [ms], unless the session is paused. Returns turn_ends_at, '0' without a turn; of a session
-- that is paused: what it would be if it went on now.
local function start_turn(session_key, at)
    local clock = redis.call('HMGET', session_key, 'status', 'turn_ends_at', 'turn_left_ms')
    if not clock[3] then
        return clock[2] or '0'
    end
    local ends_at = whole(at + tonumber(clock[3]))
    redis.call('HSET', session_key, 'turn_ends_at', ends_at)
    if clock[1] ~= STATUS.PAUSED then
        redis.call('HDEL', session_key, 'turn_left_ms')
    end
    return ends_at
end

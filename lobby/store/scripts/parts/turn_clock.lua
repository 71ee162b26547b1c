--@include clock
--@include lifecycle
-- The turn clock of a session. While it runs, turn_ends_at says when the turn ends; while it is stopped (the
-- session is paused, or its world is not restored yet) turn_left_ms is the remaining time. turn_clock_at is the time at
-- which the clock last began to run.

-- Begins a turn of length_ms at the time `at` [ms]. Returns the time when the turn ends.
local function begin_turn(session_key, at, length_ms)
    local ends_at = at + tonumber(length_ms)
    redis.call('HSET', session_key, 'turn_ends_at', whole(ends_at), 'turn_clock_at', whole(at))
    if redis.call('HGET', session_key, 'status') == STATUS.PAUSED then
        redis.call('HSET', session_key, 'turn_left_ms', length_ms)
    else
        redis.call('HDEL', session_key, 'turn_left_ms')
    end
    return ends_at
end

-- Stops the clock as of the time `at` [ms], but not before it last began to run. If it is already stopped, the earlier
-- of the two stops counts.
local function stop_turn(session_key, at)
    local clock = redis.call('HMGET', session_key, 'turn_ends_at', 'turn_left_ms', 'turn_clock_at')
    if not clock[1] or clock[1] == '0' then
        return
    end
    local left = tonumber(clock[1]) - math.max(at, tonumber(clock[3] or at))
    if left < 0 then
        left = 0
    end
    if not clock[2] or tonumber(clock[2]) < left then
        redis.call('HSET', session_key, 'turn_left_ms', whole(left))
    end
end

-- Continues the clock at the time `at` [ms], unless the session is paused. Returns turn_ends_at, or '0' without a turn.
-- For a paused session this is the time when the turn would end if the clock continued at `at`.
local function start_turn(session_key, at)
    local clock = redis.call('HMGET', session_key, 'status', 'turn_ends_at', 'turn_left_ms')
    if not clock[3] then
        return clock[2] or '0'
    end
    local ends_at = whole(at + tonumber(clock[3]))
    redis.call('HSET', session_key, 'turn_ends_at', ends_at, 'turn_clock_at', whole(at))
    if clock[1] ~= STATUS.PAUSED then
        redis.call('HDEL', session_key, 'turn_left_ms')
    end
    return ends_at
end

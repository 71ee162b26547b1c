--@include events
--@include lifecycle
-- The keys, arguments and functions of every script that changes a whole session.
--
-- KEYS 1 session, 2 session players, 3 seats, 4 awaited, 5 order, 6 session events, 7 waiting index,
--      8 open index of its mode and size, 9 running index, 10 ended index, 11 deadlines, 12 lifecycle
-- ARGV 1 session token, 2 wake channel, 3 lifecycle channel

local session_key, players_key, seats_key, awaited_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local order_key, events_key, waiting_key, open_key = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local running_key, ended_key, deadlines_key, lifecycle_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local token, wake, lifecycle_channel = ARGV[1], ARGV[2], ARGV[3]

-- Appends an event to the session's events, with its current tick and epoch. data: a table with at least one field.
local function emit(kind, data)
    local at = redis.call('HMGET', session_key, 'tick', 'epoch')
    return append_event(session_key, events_key, wake, kind, cjson.encode(data), at[1] or '0', at[2] or '0')
end

-- Appends a transition to the lifecycle stream, and publishes it on the lifecycle channel as a hint.
local function announce(event, at)
    local about = redis.call('HMGET', session_key, 'mode', 'size', 'reason')
    redis.call('XADD', lifecycle_key, '*', 'session', token, 'event', event, 'mode', about[1] or '',
        'size', about[2] or '', 'at', whole(at), 'reason', about[3] or '',
        'players', table.concat(redis.call('SMEMBERS', players_key), ','))
    redis.call('PUBLISH', lifecycle_channel, token .. ' ' .. event)
end

-- The members of the deadlines key: the timer of a lobby, the timer after which a lobby asks for bots by itself, and
-- the timer of a seat in a waiting lobby.
local function lobby_timer()
    return 'lobby:' .. token
end

-- Exists while one person may wait alone.
local function bots_timer()
    return 'bots:' .. token
end

local function seat_timer(player)
    return 'seat:' .. token .. ':' .. player
end

-- Exists while seats of a rematch are held.
local function hold_timer()
    return 'hold:' .. token
end

-- Returns the seats of a rematch that are held (seat, as text -> player) and until when [ms]; {}, 0 for none. A held
-- seat is free, and only its player may take it.
local function read_held()
    local about = redis.call('HMGET', session_key, 'held', 'held_until')
    local till = tonumber(about[2] or '0')
    if not about[1] or till <= now_ms() then
        return {}, 0
    end
    local held = {}
    for seat, one in pairs(cjson.decode(about[1])) do
        held[seat] = one.player
    end
    return held, till
end

-- The body that a player had in the match before a rematch, whose seats are held; nil: none.
local function held_body(player)
    local held = redis.call('HGET', session_key, 'held')
    for _, one in pairs(held and cjson.decode(held) or {}) do
        if one.player == player and one.body ~= '' then
            return one.body
        end
    end
    return nil
end

-- Whether a player may take one of the free seats; '': a player for whom none is held. held: of read_held.
local function may_take(size, held, player)
    for seat = 0, size - 1 do
        local name = whole(seat)
        if redis.call('HEXISTS', seats_key, name) == 0 and (not held[name] or held[name] == player) then
            return true
        end
    end
    return false
end

local UNATTENDED = 2 ^ 42

-- Puts an open, public lobby on the index of open lobbies, unless every free seat is held. Lobbies with a connected
-- member come first, each kind in the order of opening. The score of a lobby without a connected member is larger by
-- UNATTENDED [ms].
local function index_open_lobby()
    local about = redis.call('HMGET', session_key, 'status', 'private', 'opened_at', 'size')
    if about[1] ~= STATUS.OPEN or about[2] ~= '0' then
        return
    end
    local held = read_held()
    if not may_take(tonumber(about[4]), held, '') then
        redis.call('ZREM', open_key, token)
        return
    end
    local score = tonumber(about[3]) + UNATTENDED
    for seat = 0, tonumber(about[4]) - 1 do
        if redis.call('HEXISTS', session_key, 'here.' .. whole(seat)) == 1 then
            score = tonumber(about[3])
            break
        end
    end
    redis.call('ZADD', open_key, whole(score), token)
end

-- Begins the time that one person waits alone in this open lobby before it asks for bots, if it ever does. While seats
-- are held nobody waits alone.
local function start_alone_timer()
    local about = redis.call('HMGET', session_key, 'status', 'bots.alone_ms')
    if about[1] == STATUS.OPEN and about[2] then
        local _, till = read_held()
        redis.call('ZADD', deadlines_key, whole(math.max(now_ms(), till) + tonumber(about[2])), bots_timer())
    end
end

-- Unbinds a player, if it is still bound to this session.
local function free_player(player_key)
    if redis.call('HGET', player_key, 'session') == token then
        redis.call('HDEL', player_key, 'session')
    end
end

-- Ends the session by an event that is legal in its status, appends the event and announces it. The caller has freed
-- the players. Returns the v of the event.
local function close_session(status, event, reason, at)
    redis.call('HSET', session_key, 'status', status_after(status, event), 'reason', reason,
        'ended_at', whole(at), 'turn_ends_at', '0')
    redis.call('ZREM', waiting_key, token)
    redis.call('ZREM', open_key, token)
    redis.call('ZREM', running_key, token)
    redis.call('ZREM', deadlines_key, lobby_timer())
    redis.call('ZREM', deadlines_key, bots_timer())
    redis.call('ZREM', deadlines_key, hold_timer())
    redis.call('ZADD', ended_key, whole(at), token)
    local v = emit(event, {at = at, reason = reason})
    announce(event, at)
    return v
end

-- Unbinds all members. Their player keys begin at KEYS[first], their ids at ARGV[first_id]. If these are not exactly
-- the members of the session, nothing is changed and the function returns false.
local function free_members(first, first_id)
    local count = #KEYS - first + 1
    if redis.call('SCARD', players_key) ~= count then
        return false
    end
    for i = 0, count - 1 do
        if redis.call('SISMEMBER', players_key, ARGV[first_id + i]) == 0 then
            return false
        end
    end
    for i = 0, count - 1 do
        local player_key = KEYS[first + i]
        free_player(player_key)
        redis.call('ZREM', deadlines_key, seat_timer(ARGV[first_id + i]))
    end
    return true
end

--@include session
-- The seats of a waiting lobby: take one, get ready, start the session.

-- Writes a ticket: a secret with which one connection may use this player's seat, once.
local function issue_ticket(ticket_key, player, seat, role, ttl_ms)
    redis.call('SET', ticket_key,
        cjson.encode({session = token, player = player, seat = seat, role = role}), 'PX', ttl_ms)
end

-- Starts the session if all seats are taken and no member is awaited. Returns whether it started.
local function start_if_ready()
    local starting = status_after(redis.call('HGET', session_key, 'status'), EVENT.STARTING)
    if not starting or redis.call('SCARD', awaited_key) > 0 then
        return false
    end
    local about = redis.call('HMGET', session_key, 'size', 'timeout_ms', 'holder')
    local at = now_ms()
    redis.call('HSET', session_key, 'status', starting, 'starting_at', whole(at))
    redis.call('DEL', order_key)
    for seat = 0, tonumber(about[1]) - 1 do
        redis.call('RPUSH', order_key, redis.call('HGET', seats_key, whole(seat)))
    end
    redis.call('ZREM', deadlines_key, bots_timer())
    redis.call('ZADD', deadlines_key, whole(at + tonumber(about[2])), lobby_timer())
    emit(EVENT.STARTING, {at = at, holder = about[3]})
    announce(EVENT.STARTING, at)
    return true
end

-- Makes the next member after a seat the host, if there is one that fits. fits: called with a seat, as text. Returns
-- whether there is one.
local function pass_host(from, size, fits)
    for step = 1, size - 1 do
        local seat = (from + step) % size
        local member = redis.call('HGET', seats_key, whole(seat))
        if member and fits(whole(seat)) then
            redis.call('HSET', session_key, 'host', member)
            emit('host_changed', {seat = seat, player = member})
            return true
        end
    end
    return false
end

-- Updates the set of awaited members: a member is awaited until it is both connected and ready.
local function await_member(member_key, player)
    local flags = redis.call('HMGET', member_key, 'connected', 'ready')
    if flags[1] == '1' and flags[2] == '1' then
        redis.call('SREM', awaited_key, player)
    else
        redis.call('SADD', awaited_key, player)
    end
end

-- Returns the first body of `preferred` that no seat has. If all are taken: the first one, or '' for an empty list.
local function pick_body(size, preferred)
    local taken = {}
    for seat = 0, size - 1 do
        local body = redis.call('HGET', session_key, 'body.' .. whole(seat))
        if body then
            taken[body] = true
        end
    end
    for _, body in ipairs(preferred) do
        if not taken[body] then
            return body
        end
    end
    return preferred[1] or ''
end

-- Returns the seat that a player gets, of the free ones: the one that is held for it, else the wanted one, else the
-- lowest that is not out, else the lowest. nil if every free seat is held for others.
local function choose_seat(size, wanted, player)
    local held, last = read_held(), nil
    for seat = 0, size - 1 do
        if held[whole(seat)] == player and redis.call('HEXISTS', seats_key, whole(seat)) == 0 then
            return seat
        end
    end
    if wanted and wanted ~= '' and redis.call('HEXISTS', seats_key, wanted) == 0 then
        return tonumber(wanted)
    end
    for seat = 0, size - 1 do
        if redis.call('HEXISTS', seats_key, whole(seat)) == 0 and not held[whole(seat)] then
            if redis.call('HEXISTS', session_key, 'out.' .. whole(seat)) == 0 then
                return seat
            end
            last = last or seat
        end
    end
    return last
end

-- Seats a player on the wanted seat, if it is given and free, or on another one. The body of a fork's seat is fixed. If
-- that was the last seat, the lobby is filled. fills: whether it is a bot that fills a seat (parts/filling.lua). The
-- caller has checked that a seat is free and that the player may take it (may_take). Returns the seat.
local function take_seat(player_key, member_key, player, body, preferred, ready, reserve_ms, wanted, fills)
    local size = tonumber(redis.call('HGET', session_key, 'size'))
    local seat = choose_seat(size, wanted, player)
    body = redis.call('HGET', session_key, 'fixed.' .. whole(seat)) or body
    if body == '' then
        body = held_body(player) or pick_body(size, cjson.decode(preferred))
    end
    local who = redis.call('HMGET', player_key, 'name', 'kind', 'skill')
    local at = now_ms()
    redis.call('HSET', seats_key, whole(seat), player)
    redis.call('SADD', players_key, player)
    redis.call('SADD', awaited_key, player)
    redis.call('HSET', session_key, 'body.' .. whole(seat), body)
    redis.call('HSET', member_key, 'seat', whole(seat), 'name', who[1] or '', 'kind', who[2] or 'person',
        'skill', who[3] or '', 'body', body, 'ready', ready, 'connected', '0', 'last_id', '0')
    redis.call('HSET', player_key, 'session', token)
    redis.call('ZADD', deadlines_key, whole(at + tonumber(reserve_ms)), seat_timer(player))
    if fills then
        redis.call('HSET', session_key, 'fill.' .. whole(seat), player)
        redis.call('HSET', member_key, 'fills', '1')
    end
    emit('seat_taken', {seat = seat, player = player, name = who[1] or '', kind = who[2] or 'person',
        body = body, ready = ready == '1', fills = fills})
    if redis.call('HLEN', seats_key) == size then
        redis.call('HSET', session_key, 'status', status_after(STATUS.OPEN, EVENT.FILLED))
        redis.call('ZREM', open_key, token)
        emit(EVENT.FILLED, {size = size})
        announce(EVENT.FILLED, at)
    end
    return seat
end

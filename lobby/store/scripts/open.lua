--@include filling
--@include session_shares
--@include bot_shares
--@include bucket
-- Opens a lobby and seats its host. For `find`: only if no other lobby of its mode and size is open.
--
-- KEYS 1-12 the session (parts/session.lua), 13 player, 14 session player, 15 ticket, 16 lease of the holder,
--      17 shares of sessions, 18 shares of bots, 19 their owners, 20 openings of the player, 21 of the address,
--      22 scene (only with one); of a fork 22 its first state, 23 its tree, 24 its root;
--      of a rematch 22 the session that it repeats, 23 requests for bots
-- ARGV 1-3 the session, 4 player, 5 mode, 6 size, 7 hash of the scene or '', 8 params (JSON), 9 private 0|1,
--      10 holder, 11 its nonce, 12 its url, 13 timeout [ms], 14 body or '', 15 bodies in order of preference (JSON),
--      16 ready 0|1, 17 lifetime of the ticket and the reservation [ms], 18 only if no such lobby is open 0|1,
--      19 the scene or '', 20 time that one person waits alone before the lobby asks for bots [ms], 0: it never does,
--      21 address of the host or '', 22 most sessions of an address, 23 of a player,
--      24 time in which an address gets one more opening back [ms], 25 most openings of it at once, 26 and 27 of a
--      player, 28 most bots of an address, 29 of a player,
--      30 parent of a fork or '', 31 tick, 32 exact 0|1, 33 specification, 34 first state,
--      35 bodies of the seats (JSON), 36 seat of the host or '', 37 root of the tree, 38 entry of the tree (JSON),
--      39 lifetime of the tree [ms] or 0, 40 most entries of a tree, 41.. seats that are out
--      Of a rematch 31 the rematch that the session is known to have or '', 32 series (JSON),
--      33 held seats (JSON, seat -> {player, name, body}), 34 how long they are held [ms], 35 bots that it asks for,
--      36 seat of the host, 37 skill of the bots, 38 lifetime of the request [ms]
-- A rematch and the field `rematch` of the session that it repeats are written together, once.
-- Returns {OK, seat, ''} | {OK, seat, address|player}: that owner holds as many bots as it may, so that the lobby will
--      not ask for bots by itself
--      | {TAKEN, token of the oldest open lobby} | {FULL}: the holder has as many sessions as it may
--      | {SHARE, address|player}: the host's address, or the host, has opened as many as it may
--      | {RATE, address|player, time until it may open the next one [ms]}: it has opened too many in a short time
--      | ERR unknown_player, in_session, token_taken
-- The fields of a lease (acquire.lua); every other one is held:T of a session.
local LEASE_FIELDS = {'nonce', 'url', 'physics_id', 'started_at', 'sessions', 'internal_url', 'max_sessions'}
local player_key, member_key, ticket_key, lease_key = KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local shares_key = KEYS[17]
local player = ARGV[4]

if redis.call('HEXISTS', player_key, 'kind') == 0 then
    return refuse('unknown_player', 'no such player')
end
local repeats = ARGV[30] == '' and ARGV[31] ~= nil
if repeats then
    local repeated_key = KEYS[22]
    local repeated = redis.call('HMGET', repeated_key, 'status', 'rematch')
    if not repeated[1] then
        return refuse('not_found', 'the session has expired')
    end
    if (repeated[2] or '') ~= ARGV[31] then
        return {'TAKEN', repeated[2]}
    end
end
local bound = redis.call('HGET', player_key, 'session')
if bound then
    return refuse('in_session', bound)
end
if redis.call('EXISTS', session_key) == 1 then
    return refuse('token_taken', token)
end
if ARGV[18] == '1' then
    local oldest = redis.call('ZRANGE', open_key, '0', '0')
    if oldest[1] then
        return {'TAKEN', oldest[1]}
    end
end

-- {kind, owner, most sessions, bucket of its openings, time of one [ms], most at once}
local owners = {{'player', player, tonumber(ARGV[23]), KEYS[20], tonumber(ARGV[26]), tonumber(ARGV[27])}}
if ARGV[21] ~= '' then
    owners[2] = {'address', ARGV[21], tonumber(ARGV[22]), KEYS[21], tonumber(ARGV[24]), tonumber(ARGV[25])}
end
local over = {}
for _, owner in ipairs(owners) do
    if count_opened(shares_key, owner[1], owner[2], over) >= owner[3] then
        return {'SHARE', owner[1]}
    end
end
local at = now_ms()
for _, owner in ipairs(owners) do
    local wait = wait_for_unit(owner[4], owner[5], owner[6], at)
    if wait > 0 then
        return {'RATE', owner[1], whole(wait)}
    end
end

local lease = redis.call('HMGET', lease_key, 'nonce', 'max_sessions')
local held = lease[1] == ARGV[11]
if held and tonumber(lease[2] or '0') > 0 then
    local others = 0
    for _, name in ipairs(LEASE_FIELDS) do
        others = others + redis.call('HEXISTS', lease_key, name)
    end
    if redis.call('HLEN', lease_key) - others >= tonumber(lease[2]) then
        return {'FULL'}
    end
end

for _, owner in ipairs(owners) do
    note_opened(shares_key, owner[1], owner[2])
    take_unit(owner[4], owner[5], at)
end
for _, entry in ipairs(over) do -- not before the first write that needs memory: a full store would allow this one
    redis.call('ZREM', shares_key, entry)
end
if ARGV[7] ~= '' then
    local scene_key = KEYS[22]
    redis.call('HSET', scene_key, 'data', ARGV[19], token, '1')
end
redis.call('HSET', session_key, 'status', STATUS.OPEN, 'mode', ARGV[5], 'size', ARGV[6], 'scene', ARGV[7],
    'params', ARGV[8], 'private', ARGV[9], 'host', player, 'holder', ARGV[10], 'holder_nonce', ARGV[11],
    'holder_url', ARGV[12], 'timeout_ms', ARGV[13], 'opened_at', whole(at), 'epoch', '0', 'v', '0', 'tick', '0',
    'round', '0', 'turn', '0', 'events_tick', '-1', 'owner', ARGV[21] ~= '' and ARGV[21] or player)
if repeats then
    local repeated_key = KEYS[22]
    redis.call('HSET', repeated_key, 'rematch', token)
    redis.call('HSET', session_key, 'series', ARGV[32])
    if ARGV[33] ~= '{}' then
        local till = whole(at + tonumber(ARGV[34]))
        redis.call('HSET', session_key, 'held', ARGV[33], 'held_until', till)
        redis.call('ZADD', deadlines_key, till, hold_timer())
    end
end
local busy, asked = '', repeats and tonumber(ARGV[35]) or 0
if ARGV[20] ~= '0' or asked > 0 then -- the bots that it may get are held from the moment when it exists
    local bots_key, bot_owners_key, others = KEYS[18], KEYS[19], ARGV[20] ~= '0' and tonumber(ARGV[6]) - 1 or asked
    local of_address, of_player = tonumber(ARGV[28]), tonumber(ARGV[29])
    busy = busy_owner(bots_key, bot_owners_key, token, others, ARGV[21], player, of_address, of_player)
    if busy == '' then
        if ARGV[20] ~= '0' then
            redis.call('HSET', session_key, 'bots.alone_ms', ARGV[20])
        end
        if asked > 0 then
            redis.call('HSET', session_key, 'bots.wanted', whole(asked), 'bots.skill', ARGV[37],
                'bots.until', whole(at + tonumber(ARGV[38])))
        end
        write_entry(bots_key, bot_owners_key, token, make_entry(others, at, ARGV[21], player))
    end
end
if ARGV[30] ~= '' then
    local fork_key, forks_key, root_key = KEYS[22], KEYS[23], KEYS[24]
    redis.call('HSET', session_key, 'parent', ARGV[30], 'parent_tick', ARGV[31], 'exact', ARGV[32])
    for seat, body in ipairs(cjson.decode(ARGV[35])) do
        redis.call('HSET', session_key, 'fixed.' .. whole(seat - 1), body)
    end
    for i = 41, #ARGV do
        redis.call('HSET', session_key, 'out.' .. ARGV[i], '1')
    end
    redis.call('HSET', fork_key, 'spec', ARGV[33], 'state', ARGV[34])
    redis.call('SET', root_key, ARGV[37])
    redis.call('ZADD', forks_key, whole(at), ARGV[38])
    local oldest = redis.call('ZRANGE', forks_key, '0', whole(-1 - tonumber(ARGV[40])))
    for _, entry in ipairs(oldest) do
        redis.call('ZREM', forks_key, entry)
    end
    if tonumber(ARGV[39]) > 0 then
        redis.call('PEXPIRE', root_key, ARGV[39])
        redis.call('PEXPIRE', forks_key, ARGV[39])
    end
end
redis.call('ZADD', waiting_key, whole(at), token)
index_open_lobby()
redis.call('ZADD', deadlines_key, whole(at + tonumber(ARGV[13])), lobby_timer())
if held then
    redis.call('HSET', lease_key, 'held:' .. token, '1')
end
announce(EVENT.OPENED, at)
local seat = take_seat(player_key, member_key, player, ARGV[14], ARGV[15], ARGV[16], ARGV[17], ARGV[36])
issue_ticket(ticket_key, player, seat, 'player', ARGV[17])
if repeats then
    local requests_key = KEYS[23]
    index_request(requests_key)
end
return {'OK', whole(seat), busy}

--@include seating
-- Bots that fill the free seats of a waiting lobby. In the session's hash:
--   bots.wanted  seats that bots should still take         bots.until  when the request expires [ms]
--   bots.skill   how they should play                      fill.SEAT   the bot that fills this seat
--   bots.alone_ms  time that one person waits alone before the lobby asks for bots by itself; absent: never
-- A bot that fills a seat gives it up for a person who comes before the start.

-- How long a lobby stays on the index of those whose seats a person may still get [ms].
local YIELDING_MS = 600000

-- Returns the bot that gives its seat to a person: the one with the highest seat; nil if no bot fills a seat.
local function filling_bot(size)
    for seat = size - 1, 0, -1 do
        local bot = redis.call('HGET', session_key, 'fill.' .. whole(seat))
        if bot then
            return bot
        end
    end
    return nil
end

-- Whether only bots that fill seats are left.
local function only_filled(size)
    for seat = 0, size - 1 do
        if redis.call('HEXISTS', seats_key, whole(seat)) == 1
            and redis.call('HEXISTS', session_key, 'fill.' .. whole(seat)) == 0 then
            return false
        end
    end
    return true
end

-- Adds a full public lobby in which a bot fills a seat to the index that `find` reads for a person, and removes old
-- entries from it.
local function index_yielding(yielding_key, size)
    local about = redis.call('HMGET', session_key, 'status', 'private')
    if about[1] ~= STATUS.FILLED or about[2] ~= '0' or not filling_bot(size) then
        return
    end
    local at = now_ms()
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', yielding_key, '-inf', whole(at - YIELDING_MS))) do
        redis.call('ZREM', yielding_key, old)
    end
    redis.call('ZADD', yielding_key, whole(at), token)
    redis.call('PEXPIRE', yielding_key, whole(YIELDING_MS))
end

-- Adds the lobby to the index that bot processes read while it wants bots, and removes it otherwise.
local function index_request(requests_key)
    local about = redis.call('HMGET', session_key, 'status', 'bots.wanted', 'bots.until')
    if about[1] == STATUS.OPEN and about[2] and tonumber(about[2]) > 0 and tonumber(about[3]) > now_ms() then
        redis.call('ZADD', requests_key, about[3], token)
    else
        redis.call('ZREM', requests_key, token)
    end
end

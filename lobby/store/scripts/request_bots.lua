--@include filling
-- The host of an open lobby asks for bots; or the lobby does by itself, because one person waits in it alone. A new
-- request of the host replaces an older one; the lobby asks again only when no request is left. Once the host wants no
-- bots any more, the lobby never asks by itself.
--
-- KEYS 1-12 the session (parts/session.lua), 13 requests for bots, 14 bot processes
-- ARGV 1-3 the session, 4 player, or '' if the lobby asks by itself, 5 count of bots; 0: none any more; '': for every
--      free seat, 6 skill, 7 lifetime of the request [ms],
--      8 time after which a bot process that does not look counts as gone [ms],
--      9 '' or the time by which the deadline of the lobby's own request must have passed [ms]
-- Returns {OK, bots that are wanted, bot processes} | ERR not_found, not_host, not_open, lobby_full, no_bots
local requests_key, processes_key = KEYS[13], KEYS[14]
local player, count, alone = ARGV[4], ARGV[5], ARGV[4] == ''
local about = redis.call('HMGET', session_key, 'status', 'size', 'host', 'bots.alone_ms', 'bots.wanted',
    'bots.until')
local status = about[1]
local at = now_ms()

if alone then
    local due = redis.call('ZSCORE', deadlines_key, bots_timer())
    if not due or tonumber(due) > tonumber(ARGV[9]) then
        return {'OK', '0', '0'}
    end
    redis.call('ZREM', deadlines_key, bots_timer())
    if status ~= STATUS.OPEN or not about[4] or redis.call('HLEN', seats_key) ~= 1 then
        return {'OK', '0', '0'}
    end
    local seat = redis.call('HKEYS', seats_key)[1]
    if redis.call('HEXISTS', session_key, 'here.' .. seat) == 0
        or redis.call('HEXISTS', session_key, 'fill.' .. seat) == 1 then
        return {'OK', '0', '0'}
    end
    if tonumber(about[5] or '0') > 0 and tonumber(about[6]) > at then
        redis.call('ZADD', deadlines_key, whole(at + tonumber(about[4])), bots_timer())
        return {'OK', '0', '0'}
    end
end
if not status then
    return refuse('not_found', 'no such session')
end
if not alone and about[3] ~= player then
    return refuse('not_host', 'only the host of a lobby asks for bots')
end
if not WAITING[status] then
    return refuse('not_open', 'the lobby is ' .. status)
end
local processes = #redis.call('ZRANGEBYSCORE', processes_key, whole(at - tonumber(ARGV[8])), '+inf')
local size = tonumber(about[2])
local free = size - redis.call('HLEN', seats_key)
local wanted = count == '' and free or tonumber(count)
if count ~= '0' then
    if free == 0 then
        return refuse('lobby_full', 'this lobby has no free seat')
    end
    if processes == 0 then
        if alone then
            redis.call('ZADD', deadlines_key, whole(at + tonumber(about[4])), bots_timer())
            return {'OK', '0', '0'}
        end
        return refuse('no_bots', 'no bot process is running')
    end
    wanted = math.min(wanted, free)
else
    redis.call('HDEL', session_key, 'bots.alone_ms')
    redis.call('ZREM', deadlines_key, bots_timer())
end
redis.call('HSET', session_key, 'bots.wanted', whole(wanted), 'bots.skill', ARGV[6],
    'bots.until', whole(at + tonumber(ARGV[7])))
index_request(requests_key)
emit('bots_asked', {count = wanted, skill = ARGV[6], player = player})
return {'OK', whole(wanted), whole(processes)}

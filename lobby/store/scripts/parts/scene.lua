--@include clock
--@include lifecycle
-- The scene of a waiting lobby: its versioned documents, and the locks on them. A version of a document is the version
-- of the scene that its commit made. `made` is the version whose edit first gave the document its present content: an
-- undo restores content and `made` under a new version.

local MOST_REMOVED = 2000

-- Returns the member's seat and name, or nil, nil and a refusal: the lobby must wait and the player have a seat in it.
local function read_editor(session_key, member_key)
    local status = redis.call('HGET', session_key, 'status')
    if not status then
        return nil, nil, refuse('not_found', 'no such session')
    end
    local member = redis.call('HMGET', member_key, 'seat', 'name', 'left')
    if not member[1] or member[3] == '1' then
        return nil, nil, refuse('not_member', 'you have no seat in this session')
    end
    if not WAITING[status] then
        return nil, nil, refuse('not_editable', 'the scene of a session that is ' .. status .. ' cannot be edited')
    end
    return member[1], member[2] or '', nil
end

-- Returns the token, seat, player, connection and name of the holder of a lock; nil if nobody has it.
local function read_lock(lock_key)
    local held = redis.call('GET', lock_key)
    if not held then
        return nil
    end
    return string.match(held, '^(%d+) (%d+) (%S+) (%S+) (.*)$')
end

-- Publishes a change of a lock to the members of the session. seat: text, or 'null'.
local function publish_lock(wake, body, seat)
    redis.call('PUBLISH', wake, '{"t":"lock","d":{"body":"' .. body .. '","seat":' .. seat .. '}}')
end

-- Keeps a lobby whose scene is edited from timing out for wait_ms from now on, but at most most_ms after it was opened.
local function keep_waiting(session_key, deadlines_key, token, wait_ms, most_ms)
    local timer = 'lobby:' .. token
    local latest = tonumber(redis.call('HGET', session_key, 'opened_at')) + tonumber(most_ms)
    local at = math.min(now_ms() + tonumber(wait_ms), latest)
    local due = redis.call('ZSCORE', deadlines_key, timer)
    if due and tonumber(due) < at then
        redis.call('ZADD', deadlines_key, whole(at), timer)
        redis.call('HSET', session_key, 'closes_at', whole(at))
    end
end

-- Counts `added` bytes of the newest entry of the log, and removes the oldest entries until the log has at most `most`
-- bytes. What they had removed is forgotten: it cannot be undone any more.
local function trim_log(scene_key, log_key, removed_key, added, most)
    local size = redis.call('HINCRBY', scene_key, 'log_bytes', whole(added))
    while size > most do
        local entry = redis.call('XRANGE', log_key, '-', '+', 'COUNT', '1')[1]
        if not entry then
            break
        end
        for i = 1, #entry[2] - 1, 2 do
            if entry[2][i] == 'size' then
                size = redis.call('HINCRBY', scene_key, 'log_bytes', whole(-tonumber(entry[2][i + 1])))
            elseif entry[2][i] == 'removed' then
                local version = string.match(entry[1], '^%d+')
                for body in string.gmatch(entry[2][i + 1], '%S+') do
                    if redis.call('HGET', removed_key, body) == version then
                        redis.call('HDEL', removed_key, body)
                    end
                end
            end
        end
        redis.call('XDEL', log_key, entry[1])
    end
    if redis.call('HLEN', removed_key) > MOST_REMOVED then
        redis.call('DEL', removed_key)
    end
end

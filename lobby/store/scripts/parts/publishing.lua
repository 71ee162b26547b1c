--@include fence
-- Publishes a tick: appends its events and writes the fields that it changed.

-- Appends a tick's events and writes fields of the session and of its players, from ARGV[at] on:
--   count of events, then tick, type, data of each; count of fields, then name, value of each; then for each player
--   key from KEYS[first] on a count of fields, then name, value of each.
-- ends_at: nil, or when the turn that begins here ends; it is written into the data of turn_started as "ends_at".
-- Returns the v of the first event (0: there was none) and of the last.
local function publish_tick(session_key, events_key, wake, epoch, at, first, ends_at)
    local first_v, last_v = 0, tonumber(redis.call('HGET', session_key, 'v'))
    local count = tonumber(ARGV[at])
    at = at + 1
    for _ = 1, count do
        local data = ARGV[at + 2]
        if ends_at and ARGV[at + 1] == 'turn_started' then
            local comma = ','
            if data == '{}' then
                comma = ''
            end
            data = string.sub(data, 1, -2) .. comma .. '"ends_at":' .. whole(ends_at) .. '}'
        end
        last_v = append_event(session_key, events_key, wake, ARGV[at + 1], data, ARGV[at], epoch)
        if first_v == 0 then
            first_v = last_v
        end
        at = at + 3
    end
    count = tonumber(ARGV[at])
    at = at + 1
    for _ = 1, count do
        redis.call('HSET', session_key, ARGV[at], ARGV[at + 1])
        at = at + 2
    end
    for i = first, #KEYS do
        local member_key = KEYS[i]
        if not ARGV[at] then
            break
        end
        count = tonumber(ARGV[at])
        at = at + 1
        for _ = 1, count do
            redis.call('HSET', member_key, ARGV[at], ARGV[at + 1])
            at = at + 2
        end
    end
    return first_v, last_v
end

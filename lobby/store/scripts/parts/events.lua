--@include clock
-- Appends to a session's events; the only place where v is assigned.

local EVENTS_KEPT = '20000'

-- Appends one event with the next v, and publishes v on the wake channel as a hint. data: JSON. Returns v.
local function append_event(session_key, events_key, wake, kind, data, tick, epoch)
    local v = redis.call('HINCRBY', session_key, 'v', '1')
    redis.call('XADD', events_key, 'MAXLEN', '~', EVENTS_KEPT, whole(v) .. '-0',
        't', kind, 'd', data, 'tick', tick, 'epoch', epoch)
    redis.call('PUBLISH', wake, whole(v))
    return v
end

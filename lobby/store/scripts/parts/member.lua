--@include session
-- For the scripts with which a member changes its own seat while the lobby waits.

-- Returns the member's seat and the stored value of one of its fields; or nil, nil and a refusal.
local function read_waiting_member(member_key, field)
    local status = redis.call('HGET', session_key, 'status')
    if not status then
        return nil, nil, refuse('not_found', 'no such session')
    end
    local member = redis.call('HMGET', member_key, 'seat', field)
    if not member[1] then
        return nil, nil, refuse('not_member', 'you have no seat in this session')
    end
    if not WAITING[status] then
        return nil, nil, refuse('not_open', 'the lobby is ' .. status)
    end
    return member[1], member[2], nil
end

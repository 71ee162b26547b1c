--@include events
--@include lifecycle
-- The fence: only the server that holds a session, in its present claim, may write as its holder.

-- Returns nil if the fence is valid, otherwise a refusal. allowed: a set of statuses (LIVE, HELD), or nil for any.
local function check_fence(session_key, server, nonce, epoch, allowed)
    local stored = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce', 'epoch')
    if not stored[1] then
        return refuse('fenced', 'the session is gone')
    end
    if stored[2] ~= server or stored[3] ~= nonce or stored[4] ~= epoch then
        return refuse('fenced', 'another server holds the session')
    end
    if allowed and not allowed[stored[1]] then
        return refuse('fenced', 'the session is ' .. stored[1])
    end
    return nil
end

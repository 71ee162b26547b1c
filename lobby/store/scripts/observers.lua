--@include presence
-- Updates the list of a session's observers. Each server renews the entries of its own observers; entries that are not
-- renewed expire. Publishes a hint when the list changes.
--
-- KEYS 1 session, 2 its observers
-- ARGV 1 wake channel, 2 lifetime of an entry [ms], 3 count of the observers on this server, then these observers, then
--      those that have left
-- Returns {OK, 1 if the list changed else 0} | ERR not_found
local session_key, observers_key = KEYS[1], KEYS[2]
if redis.call('EXISTS', session_key) == 0 then
    return refuse('not_found', 'no such session')
end
local changed = update_presence(observers_key, tonumber(ARGV[2]), 4, tonumber(ARGV[3]))
if changed > 0 then
    redis.call('PUBLISH', ARGV[1], 'observers')
end
return {'OK', changed > 0 and '1' or '0'}

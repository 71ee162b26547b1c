--@include seating
-- Issues a ticket for an observer.
--
-- KEYS 1-12 the session (parts/session.lua), 13 ticket
-- ARGV 1-3 the session, 4 player, 5 lifetime of the ticket [ms]
-- Returns {OK, holder, its nonce, its url} | ERR not_found
local ticket_key = KEYS[13]
local about = redis.call('HMGET', session_key, 'status', 'holder', 'holder_nonce', 'holder_url')
if not about[1] then
    return refuse('not_found', 'no such session')
end
redis.call('SET', ticket_key, cjson.encode({session = token, player = ARGV[4], role = 'observer'}), 'PX', ARGV[5])
return {'OK', about[2], about[3], about[4]}

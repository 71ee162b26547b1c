--@include session
--@include fence
--@include full
-- The holder has built the world: the status changes from starting to running. A repeated call by the same claim
-- changes nothing.
--
-- KEYS 1-12 the session (parts/session.lua), 13 first state of a fork, 14 log of the scene, 15 its undo steps,
--      16 its removed bodies
-- ARGV 1-3 the session, 4 server, 5 nonce, 6 epoch, 7 tick, 8 specification (bytes), 9 length of a tick [s]
-- Returns {OK, v of the event, started_at} | ERR fenced
local fork_key, log_key, undo_key, removed_key = KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local refusal = check_fence(session_key, ARGV[4], ARGV[5], ARGV[6], HELD)
if refusal then
    return refusal
end
local about = redis.call('HMGET', session_key, 'status', 'running_v', 'started_at')
if about[1] == STATUS.RUNNING then
    return {'OK', about[2], about[3]}
end
if about[1] ~= STATUS.STARTING then
    return refuse('fenced', 'the session is ' .. about[1])
end
write_even_if_full(session_key)
local at = now_ms()
redis.call('HSET', session_key, 'status', status_after(about[1], EVENT.RUNNING),
    'started_at', whole(at), 'tick', ARGV[7], 'spec', ARGV[8], 'dt', ARGV[9])
redis.call('HDEL', session_key, 'unheld_at')
redis.call('DEL', fork_key) -- the holder has stored a checkpoint
redis.call('DEL', log_key) -- the specification has the scene, and nobody can edit it any more
redis.call('DEL', undo_key)
redis.call('DEL', removed_key)
redis.call('ZREM', waiting_key, token)
redis.call('ZREM', deadlines_key, lobby_timer())
redis.call('ZADD', running_key, whole(at), token)
local v = emit(EVENT.RUNNING, {at = at, dt = tonumber(ARGV[9])})
redis.call('HSET', session_key, 'running_v', whole(v))
announce(EVENT.RUNNING, at)
return {'OK', whole(v), whole(at)}

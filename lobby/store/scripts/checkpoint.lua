--@include fence
--@include full
--@include recording
-- Stores the exact state of a tick, and how far the recording goes. A checkpoint that is older than the stored one
-- changes nothing.
--
-- KEYS 1 session, 2 checkpoint, 3 recording
-- ARGV 1 server, 2 nonce, 3 epoch, 4 tick, 5 data (bytes), 6 offset: id of the last journal entry that it includes,
--      7 count of values for the recording, then these: name, value, name, value, ...; then further fields of the
--      session: name, value, ...
-- Returns {OK, 1} | {OK, 0}: a newer one is stored | ERR fenced
local session_key, checkpoint_key, recording_key = KEYS[1], KEYS[2], KEYS[3]
local refusal = check_fence(session_key, ARGV[1], ARGV[2], ARGV[3], HELD)
if refusal then
    return refusal
end
local stored = redis.call('HMGET', checkpoint_key, 'tick', 'epoch')
if stored[1] and stored[2] == ARGV[3] and tonumber(stored[1]) > tonumber(ARGV[4]) then
    return {'OK', '0'}
end
write_even_if_full(session_key)
redis.call('HSET', checkpoint_key, 'tick', ARGV[4], 'data', ARGV[5], 'journal', ARGV[6], 'epoch', ARGV[3],
    'at', whole(now_ms()))
write_recording(recording_key, 7)
for i = 8 + tonumber(ARGV[7]), #ARGV - 1, 2 do
    redis.call('HSET', session_key, ARGV[i], ARGV[i + 1])
end
return {'OK', '1'}

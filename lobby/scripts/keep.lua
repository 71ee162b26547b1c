--@include fence
-- Writes fields of a session as its holder: the proof, after a doubt, that it still is.
--
-- KEYS 1 session
-- ARGV 1 server, 2 nonce, 3 epoch, 4.. name, value
-- Returns {OK} | ERR fenced
local refusal = check_fence(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ',starting,running,paused,')
if refusal then
    return refusal
end
for i = 4, #ARGV - 1, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return {'OK'}

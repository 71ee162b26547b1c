--@include fence
-- Deletes the inputs of all ticks before a given one. The archive has them.
--
-- KEYS 1 session, 2 journal
-- ARGV 1 server, 2 nonce, 3 epoch, 4 first tick to keep
-- Returns {OK, entries removed} | ERR fenced
local refusal = check_fence(KEYS[1], ARGV[1], ARGV[2], ARGV[3], HELD)
if refusal then
    return refusal
end
return {'OK', whole(redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4] .. '-0'))}

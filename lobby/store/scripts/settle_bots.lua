--@include bot_shares
-- Replaces what is held for a session in the shares of bots, if nobody has changed it meanwhile.
--
-- KEYS 1 shares of bots, 2 their owners
-- ARGV 1 session, 2 entry that is expected, or '', 3 new entry, or '' to remove it
-- Returns {OK, 1} | {OK, 0}: the entry is another one
local shares_key, owners_key = KEYS[1], KEYS[2]
if (redis.call('HGET', shares_key, ARGV[1]) or '') ~= ARGV[2] then
    return {'OK', '0'}
end
write_entry(shares_key, owners_key, ARGV[1], ARGV[3])
return {'OK', '1'}

--@include bot_shares
-- Holds the bots of a session for one address and one player, in place of what was held for it. Both have a share of
-- all bots, over all servers. Without a session: only looks whether they have room for that many more.
--
-- KEYS 1 shares of bots, 2 their owners
-- ARGV 1 session or '', 2 count above 0, 3 address, 4 player, 5 most bots of an address, 6 of a player
-- Returns {OK, entry before or '', entry now or ''} | {BUSY, player|address}: it would hold too many; nothing changed
local shares_key, owners_key = KEYS[1], KEYS[2]
local session, count, address, player = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local busy = busy_owner(shares_key, owners_key, session, count, address, player, tonumber(ARGV[5]), tonumber(ARGV[6]))
if busy ~= '' then
    return {'BUSY', busy}
end
if session == '' then
    return {'OK', '', ''}
end
local before = redis.call('HGET', shares_key, session) or ''
local entry = make_entry(count, now_ms(), address, player)
write_entry(shares_key, owners_key, session, entry)
return {'OK', before, entry}

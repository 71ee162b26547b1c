--@include clock
-- Holds the bots of a session for one address and one player, in place of what was held for it. Both have a share of
-- all bots, over all servers.
--
-- KEYS 1 shares of bots: session, or player:P of a lobby that is about to open -> "count at address player"
-- ARGV 1 session, 2 count above 0, 3 address, 4 player, 5 most bots of an address, 6 of a player
-- Returns {OK, entry before or '', entry now} | {BUSY, player|address}: it would hold too many; nothing changed
local shares_key = KEYS[1]
local count, address, player = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local of_address, of_player = count, count
local all = redis.call('HGETALL', shares_key)
for i = 1, #all, 2 do
    if all[i] ~= ARGV[1] then
        local held, its_address, its_player = string.match(all[i + 1], '^(%d+) %d+ (%S*) (%S*)$')
        if its_address == address then
            of_address = of_address + tonumber(held)
        end
        if its_player == player then
            of_player = of_player + tonumber(held)
        end
    end
end
if of_player > tonumber(ARGV[6]) then
    return {'BUSY', 'player'}
end
if of_address > tonumber(ARGV[5]) then
    return {'BUSY', 'address'}
end
local before = redis.call('HGET', shares_key, ARGV[1]) or ''
local entry = whole(count) .. ' ' .. whole(now_ms()) .. ' ' .. address .. ' ' .. player
redis.call('HSET', shares_key, ARGV[1], entry)
return {'OK', before, entry}

-- Removes sessions that neither wait nor run from the shares of those who opened them. A repeated call changes nothing.
--
-- KEYS 1 shares of sessions, 2 waiting index, 3 running index
-- ARGV none
-- Returns {OK, number of removed entries}
local shares_key, waiting_key, running_key = KEYS[1], KEYS[2], KEYS[3]
local removed = 0
for _, entry in ipairs(redis.call('ZRANGE', shares_key, '0', '-1')) do
    local opened = string.match(entry, '%S+$')
    if not redis.call('ZSCORE', waiting_key, opened) and not redis.call('ZSCORE', running_key, opened) then
        removed = removed + redis.call('ZREM', shares_key, entry)
    end
end
return {'OK', string.format('%.0f', removed)}

--@include session
-- Which sessions each address and each player has opened: a sorted set of "address A T" and "player P T", all with the
-- score 0, so that those of one owner follow one another. A session counts while it waits or runs.

-- Returns how many sessions of an owner wait or run. Adds the entries of the others to `over`. kind: 'address' or
-- 'player'.
local function count_opened(shares_key, kind, owner, over)
    local prefix, count = kind .. ' ' .. owner .. ' ', 0
    local last = '(' .. kind .. ' ' .. owner .. '!'
    for _, entry in ipairs(redis.call('ZRANGEBYLEX', shares_key, '[' .. prefix, last)) do
        local opened = string.sub(entry, #prefix + 1)
        if redis.call('ZSCORE', waiting_key, opened) or redis.call('ZSCORE', running_key, opened) then
            count = count + 1
        else
            over[#over + 1] = entry
        end
    end
    return count
end

-- Counts this session for an owner.
local function note_opened(shares_key, kind, owner)
    redis.call('ZADD', shares_key, '0', kind .. ' ' .. owner .. ' ' .. token)
end

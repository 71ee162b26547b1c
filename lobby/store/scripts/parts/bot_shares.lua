--@include clock
-- The bots that are held for each session, and for whom: a hash of session -> "count at address player", and a sorted
-- set of "address A T" and "player P T" of each session T in the hash, all with the score 0, so that those of one owner
-- follow one another. Both have the same sessions; the hash decides.

-- Returns the count, address and player of an entry; nil for ''.
local function read_entry(entry)
    return string.match(entry, '^(%d+) %d+ (%S*) (%S*)$')
end

-- Returns how many bots are held for an owner, without those of one session. kind: 'address' or 'player'.
local function count_held(shares_key, owners_key, kind, owner, without)
    local prefix, count = kind .. ' ' .. owner .. ' ', 0
    local last = '(' .. kind .. ' ' .. owner .. '!'
    for _, member in ipairs(redis.call('ZRANGEBYLEX', owners_key, '[' .. prefix, last)) do
        local session = string.sub(member, #prefix + 1)
        if session ~= without then
            count = count + tonumber(read_entry(redis.call('HGET', shares_key, session) or '') or '0')
        end
    end
    return count
end

-- Returns 'player' or 'address' if that owner would hold too many with `count` bots of a session, else ''. An address
-- of '' has no share.
local function busy_owner(shares_key, owners_key, session, count, address, player, of_address, of_player)
    if count_held(shares_key, owners_key, 'player', player, session) + count > of_player then
        return 'player'
    end
    if address ~= '' and count_held(shares_key, owners_key, 'address', address, session) + count > of_address then
        return 'address'
    end
    return ''
end

-- Writes the entry of a session in place of the one before; '' removes it.
local function write_entry(shares_key, owners_key, session, entry)
    local _, address, player = read_entry(redis.call('HGET', shares_key, session) or '')
    local _, its_address, its_player = read_entry(entry)
    if address and address ~= its_address then
        redis.call('ZREM', owners_key, 'address ' .. address .. ' ' .. session)
    end
    if player and player ~= its_player then
        redis.call('ZREM', owners_key, 'player ' .. player .. ' ' .. session)
    end
    if entry == '' then
        redis.call('HDEL', shares_key, session)
        return
    end
    redis.call('ZADD', owners_key, '0', 'address ' .. its_address .. ' ' .. session)
    redis.call('ZADD', owners_key, '0', 'player ' .. its_player .. ' ' .. session)
    redis.call('HSET', shares_key, session, entry)
end

-- Returns an entry for `count` bots.
local function make_entry(count, at, address, player)
    return whole(count) .. ' ' .. whole(at) .. ' ' .. address .. ' ' .. player
end

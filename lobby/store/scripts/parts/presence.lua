--@include clock
-- Lists of who is present: a sorted set of entries, each with the time when it expires.

-- Renews the entries ARGV[first] to ARGV[first + here - 1] of a list, removes the following ones and those that nobody
-- renewed. life: of an entry [ms]. Returns how many entries are new or gone.
local function update_presence(list_key, life, first, here)
    local at, changed = now_ms(), 0
    for i = first, first + here - 1 do
        changed = changed + redis.call('ZADD', list_key, whole(at + life), ARGV[i])
    end
    for i = first + here, #ARGV do
        changed = changed + redis.call('ZREM', list_key, ARGV[i])
    end
    for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', list_key, '-inf', whole(at))) do
        changed = changed + redis.call('ZREM', list_key, lapsed)
    end
    redis.call('PEXPIRE', list_key, whole(life))
    return changed
end

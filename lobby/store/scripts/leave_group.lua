-- Deletes a consumer of a stream's group, and the consumers that are dead. A consumer with pending entries is kept, so
-- that the entries can be claimed. If ARGV 4 is '1', the group is deleted when its last live consumer leaves.
--
-- KEYS 1 stream
-- ARGV 1 group, 2 consumer, or '' to delete dead consumers only, 3 idle time after which a consumer is dead [ms],
--      4 '1' to delete the group with its last consumer
-- Returns {OK, 1 if there is no group now else 0, consumers deleted}
if redis.call('EXISTS', KEYS[1]) == 0 then
    return {'OK', '1', '0'}
end

-- Returns a row of an XINFO reply as a table. The reply is a flat list of names and values, or a map already.
local function fields(row)
    if row[1] == nil then
        return row
    end
    local named = {}
    for i = 1, #row, 2 do
        named[row[i]] = row[i + 1]
    end
    return named
end

local found = false
for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    found = found or fields(row)['name'] == ARGV[1]
end
if not found then
    return {'OK', '1', '0'}
end
local alive, deleted = 0, 0
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = fields(row)
    local dead = tonumber(consumer['idle']) > tonumber(ARGV[3])
    local leaves = consumer['name'] == ARGV[2]
    if not leaves and not dead then
        alive = alive + 1
    end
    if (leaves or dead) and tonumber(consumer['pending']) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
        deleted = deleted + 1
    end
end
if ARGV[2] ~= '' and ARGV[4] == '1' and alive == 0 then
    redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
    return {'OK', '1', tostring(deleted)}
end
return {'OK', '0', tostring(deleted)}

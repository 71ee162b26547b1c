-- Replaces the contents of the catalogue in one step, so that no reader sees an empty or incomplete catalogue.
--
-- KEYS 1.. one hash per kind
-- ARGV for each kind: its name, the count of its entries, then id, document (JSON) of each
-- Returns {OK, kind, added | changed | removed, id, ...}: the differences from before
local reply = {'OK'}
local function report_change(kind, change, id)
    reply[#reply + 1] = kind
    reply[#reply + 1] = change
    reply[#reply + 1] = id
end

local at = 1
for i = 1, #KEYS do
    local kind_key = KEYS[i]
    local kind, count = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    local wanted = {}
    for _ = 1, count do
        local id, document = ARGV[at], ARGV[at + 1]
        at = at + 2
        wanted[id] = true
        local stored = redis.call('HGET', kind_key, id)
        if stored ~= document then
            redis.call('HSET', kind_key, id, document)
            report_change(kind, stored and 'changed' or 'added', id)
        end
    end
    local ids = redis.call('HKEYS', kind_key)
    table.sort(ids)
    for _, id in ipairs(ids) do
        if not wanted[id] then
            redis.call('HDEL', kind_key, id)
            report_change(kind, 'removed', id)
        end
    end
end
return reply

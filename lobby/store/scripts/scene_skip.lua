--@include scene
-- Drops a step from those that a member can undo or redo. No body changes.
--
-- KEYS 1 session, 2 session player, 3 undo steps
-- ARGV 1 player, 2 version that made the step
-- Returns {OK, 1, or 0 if it is not a step of the player} | ERR not_found, not_member, not_editable
local undo_key = KEYS[3]
local player, step = ARGV[1], ARGV[2]
local seat, _, refusal = read_editor(KEYS[1], KEYS[2])
if not seat then
    return refusal
end
local dropped = '0'
for _, kind in ipairs({'undo:', 'redo:'}) do
    local field = kind .. player
    local kept = {}
    for one in string.gmatch(redis.call('HGET', undo_key, field) or '', '%d+') do
        if one == step then
            dropped = '1'
        else
            kept[#kept + 1] = one
        end
    end
    if #kept > 0 then
        redis.call('HSET', undo_key, field, table.concat(kept, ' '))
    else
        redis.call('HDEL', undo_key, field)
    end
end
return {'OK', dropped}

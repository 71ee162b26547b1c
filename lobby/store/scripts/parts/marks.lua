--@include replay_room
-- Bookmarks and named views: JSON documents with the player who made each.

-- Returns whether a player may change a mark: its author and operators may. stored: the mark, as JSON.
local function may_change(stored, player, operator)
    return operator == '1' or cjson.decode(stored).by == player
end

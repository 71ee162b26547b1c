--@include scene
-- Commits a list of edits, an undo or a redo: all of it as one version, or nothing.
--
-- KEYS 1 session, 2 session player, 3 scene, 4 its bodies, 5 log, 6 undo steps, 7 removed bodies, 8 deadlines,
--      9 players of the session, 10 document of the world, then for each edit: document, lock
-- ARGV 1 session token, 2 wake channel, 3 player, 4 command id, 5 kind edit|undo|redo, 6 version that is undone or
--      redone, or 0, 7-9 most bodies, vertices and bytes of a scene, 10 most bytes of the log, 11 most undo steps of a
--      player, 12 time that the lobby waits from now on [ms], 13 id of the world's document, 14 most time that a lobby
--      waits after it was opened [ms], then for each edit: body, version that it is based on (of an undo or redo:
--      `made` that must be present), token of the lock or '', SHA-256 or '' to remove, document, vertices, `made` or ''
--      for the new version, place in the order or '' for the present or last one
-- Returns {OK, version} | {BEGIN}: the scene is not stored yet | {AGAIN}: the command id was used before
--      | {STALE, body, version, SHA-256, document}: the present ones; 0 and '' if there is no such body
--      | {CONFLICT, body, its version or 0, seat and name of who changed it or ''}: an undo or redo whose body was
--      changed since
--      | ERR not_found, not_member, not_editable, lock_required, stale_lock, body_locked,
--      nothing_to_undo, too_many_bodies, too_many_vertices, scene_too_large, scene_empty, bad_joint
local session_key, member_key, scene_key, bodies_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local log_key, undo_key, removed_key, deadlines_key = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local players_key, world_key = KEYS[9], KEYS[10]
local wake, player, command, kind, of = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local world, FIRST, WIDTH = ARGV[13], 15, 8
local MOST_UNDO = 128

local function steps_of(field)
    local steps = {}
    for step in string.gmatch(redis.call('HGET', undo_key, field) or '', '%d+') do
        steps[#steps + 1] = step
    end
    return steps
end

-- Forgets the steps of players who have left, then those whose newest step is the oldest, until there is room for one
-- more list. The player's own are kept.
local function make_room()
    local fields = redis.call('HKEYS', undo_key)
    local left, there = {}, {}
    for _, field in ipairs(fields) do
        local owner = string.match(field, '^%a+:(.*)$')
        if owner ~= player then
            if redis.call('SISMEMBER', players_key, owner) == 0 then
                left[#left + 1] = field
            else
                local newest = string.match(redis.call('HGET', undo_key, field), '(%d+)$')
                there[#there + 1] = {tonumber(newest or '0'), field}
            end
        end
    end
    local more = #fields - #left - MOST_UNDO + 1
    table.sort(there, function(one, other)
        return one[1] < other[1] or (one[1] == other[1] and one[2] < other[2])
    end)
    for i = 1, math.min(more, #there) do
        left[#left + 1] = there[i][2]
    end
    for _, field in ipairs(left) do
        redis.call('HDEL', undo_key, field)
    end
end

local function write_steps(field, steps)
    if #steps == 0 then
        redis.call('HDEL', undo_key, field)
        return
    end
    local first = math.max(1, #steps - tonumber(ARGV[11]) + 1)
    if redis.call('HLEN', undo_key) >= MOST_UNDO and redis.call('HEXISTS', undo_key, field) == 0 then
        make_room()
    end
    redis.call('HSET', undo_key, field, table.concat(steps, ' ', first))
end

local seat, name, refusal = read_editor(session_key, member_key)
if refusal then
    return refusal
end
local used = redis.call('HGET', member_key, 'scene_id')
if used and tonumber(command) <= tonumber(used) then
    return {'AGAIN'}
end
local scene = redis.call('HMGET', scene_key, 'version', 'bytes', 'vertices', 'order')
if not scene[1] then
    return {'BEGIN'}
end
local taken_from, put_on = 'undo:' .. player, 'redo:' .. player
if kind == 'redo' then
    taken_from, put_on = put_on, taken_from
end
local steps, undone = nil, nil
if kind ~= 'edit' then
    steps = steps_of(taken_from)
    for i, step in ipairs(steps) do
        if step == of then
            undone = i
        end
    end
    if not undone then
        return refuse('nothing_to_undo', 'that is not one of your steps')
    end
end

-- Returns the seat and name of who made a version; '' if the log does not reach back that far. If a body lacks the
-- content that a step needs, then newer content was put on it, or the needed content was undone, which only its author
-- can do: the author of the newer one of the two changed the body.
local function author_of(version)
    local entry = redis.call('XRANGE', log_key, whole(version) .. '-0', whole(version) .. '-0')[1]
    local found = {}
    for i = 1, entry and #entry[2] - 1 or 0, 2 do
        found[entry[2][i]] = entry[2][i + 1]
    end
    return found['seat'] or '', found['name'] or ''
end

-- Returns the numbers of an edit: its place in KEYS and in ARGV.
local function place_of(number)
    return 9 + 2 * number, FIRST + WIDTH * (number - 1)
end

local edits = (#KEYS - 10) / 2
local count, size, vertices = redis.call('ZCARD', bodies_key), tonumber(scene[2]), tonumber(scene[3])
local old_count, old_size, old_vertices = count, size, vertices
local presents, mades = {}, {}
for number = 1, edits do
    local k, at = place_of(number)
    local body_key, lock_key = KEYS[k], KEYS[k + 1]
    local body, base, lock, sha256 = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local present = redis.call('HMGET', body_key, 'version', 'sha256', 'doc', 'vertices', 'made')
    local version = present[1] or '0'
    local made = present[5] or redis.call('HGET', removed_key, body) or '0'
    local held, _, holder, _, holder_name = read_lock(lock_key)
    local foreign = held and holder ~= player
    presents[number], mades[number] = present, made
    if kind == 'edit' then
        if base ~= version and (base == '0' or version == '0') then
            return {'STALE', body, version, present[2] or '', present[3] or ''}
        end
        if version ~= '0' and lock ~= '' and lock ~= held then
            return refuse('stale_lock', 'this lock of ' .. body .. ' is no longer valid')
        end
        if foreign then
            return refuse('body_locked', holder_name .. ' has locked ' .. body)
        end
        if version ~= '0' and lock == '' then
            return refuse('lock_required', 'lock ' .. body .. ' first')
        end
        if base ~= version then
            return {'STALE', body, version, present[2], present[3]}
        end
    else
        if foreign then
            return refuse('body_locked', holder_name .. ' has locked ' .. body)
        end
        if made ~= base then
            local by, called = author_of(math.max(tonumber(made), tonumber(base)))
            return {'CONFLICT', body, version, by, called}
        end
    end
    if version ~= '0' then
        size = size - string.len(present[3])
        vertices = vertices - tonumber(present[4])
        count = count - 1
    end
    if sha256 ~= '' then
        size = size + string.len(ARGV[at + 4])
        vertices = vertices + tonumber(ARGV[at + 5])
        count = count + 1
    end
end
if count > tonumber(ARGV[7]) and count > old_count then
    return refuse('too_many_bodies', 'a scene may have ' .. ARGV[7] .. ' bodies')
end
if vertices > tonumber(ARGV[8]) and vertices > old_vertices then
    return refuse('too_many_vertices', 'a scene may have ' .. ARGV[8] .. ' vertices')
end
if size > tonumber(ARGV[9]) and size > old_size then
    return refuse('scene_too_large', 'a scene may have ' .. ARGV[9] .. ' bytes')
end
if count < 1 then
    return refuse('scene_empty', 'a scene has at least one body')
end

-- Joints and pairs are in the world's document: each body that they name must be there after the edits.
local after_edits, joints_may_change = {}, false
local settings
for number = 1, edits do
    local _, at = place_of(number)
    local body, removes = ARGV[at], ARGV[at + 3] == ''
    after_edits[body] = not removes
    if body == world then
        settings = ARGV[at + 4]
    end
    joints_may_change = joints_may_change or removes or body == world
end
if joints_may_change then
    settings = cjson.decode(settings or redis.call('HGET', world_key, 'doc'))
    for _, list in ipairs({settings['joints'] or {}, settings['pairs'] or {}}) do
        for _, joint in ipairs(list) do
            for _, body in ipairs({joint['a'], joint['b']}) do
                local there = after_edits[body]
                if there == nil then
                    there = redis.call('ZSCORE', bodies_key, body)
                end
                if not there then
                    local named = joint['id'] and 'joint ' .. joint['id'] or 'a pair'
                    return refuse('bad_joint', named .. ' needs the body ' .. body)
                end
            end
        end
    end
end

local new = whole(tonumber(scene[1]) + 1)
local order = tonumber(scene[4])
local logged, changed, removed = {}, {}, {}
for number = 1, edits do
    local k, at = place_of(number)
    local body_key, lock_key = KEYS[k], KEYS[k + 1]
    local body, sha256, made, place = ARGV[at], ARGV[at + 3], ARGV[at + 6], ARGV[at + 7]
    local present = presents[number]
    if made == '' then
        made = new
    end
    if body == world then
        place = '0'
    elseif present[1] then
        place = whole(redis.call('ZSCORE', bodies_key, body))
    elseif place == '' then
        order = order + 1
        place = whole(order)
    end
    local after = 'null'
    if sha256 == '' then
        redis.call('DEL', body_key)
        redis.call('DEL', lock_key)
        redis.call('ZREM', bodies_key, body)
        if made == '0' then
            redis.call('HDEL', removed_key, body)
        else
            redis.call('HSET', removed_key, body, made)
            removed[#removed + 1] = body
        end
        changed[number] = '{"body":"' .. body .. '","version":0}'
    else
        after = ARGV[at + 4]
        redis.call('HSET', body_key, 'version', new, 'made', made, 'sha256', sha256, 'doc', after, 'vertices',
            ARGV[at + 5])
        if body ~= world then
            redis.call('ZADD', bodies_key, place, body)
            redis.call('HDEL', removed_key, body)
        end
        changed[number] = '{"body":"' .. body .. '","version":' .. new .. '}'
    end
    logged[number] = '{"body":"' .. body .. '","base":' .. (present[1] or '0') .. ',"made":[' .. mades[number] .. ','
        .. made .. '],"vertices":[' .. (present[4] or '0') .. ',' .. ARGV[at + 5] .. '],"order":' .. place
        .. ',"before":' .. (present[3] or 'null') .. ',"after":' .. after .. '}'
end

local text = '[' .. table.concat(logged, ',') .. ']'
redis.call('XADD', log_key, new .. '-0', 'at', whole(now_ms()), 'player', player, 'seat', seat, 'name', name,
    'command', command, 'kind', kind, 'of', of, 'removed', table.concat(removed, ' '), 'size', whole(string.len(text)),
    'edits', text)
redis.call('HSET', scene_key, 'version', new, 'order', whole(order), 'bytes', whole(size), 'vertices', whole(vertices))
trim_log(scene_key, log_key, removed_key, string.len(text), tonumber(ARGV[10]))

if kind == 'edit' then
    steps = steps_of(taken_from)
    steps[#steps + 1] = new
    redis.call('HDEL', undo_key, put_on)
    write_steps(taken_from, steps)
else
    table.remove(steps, undone)
    write_steps(taken_from, steps)
    steps = steps_of(put_on)
    steps[#steps + 1] = of
    write_steps(put_on, steps)
end
redis.call('HSET', member_key, 'scene_id', command)
keep_waiting(session_key, deadlines_key, ARGV[1], ARGV[12], ARGV[14])
redis.call('PUBLISH', wake, '{"t":"scene","d":{"version":' .. new .. ',"changed":[' .. table.concat(changed, ',')
    .. ']}}')
return {'OK', new}

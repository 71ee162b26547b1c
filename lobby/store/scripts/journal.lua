--@include fence
--@include full
-- Writes the inputs of one tick before they are applied. Writing the same inputs again succeeds. If the journal has
-- other inputs under the same ids, the call is refused and nothing is written.
--
-- KEYS 1 session, 2 journal
-- ARGV 1 server, 2 nonce, 3 epoch, 4 tick, 5 number of the first entry, 6.. entries
-- Returns {OK, entries written} | ERR fenced, journal_differs
local session_key, journal_key = KEYS[1], KEYS[2]
local refusal = check_fence(session_key, ARGV[1], ARGV[2], ARGV[3], LIVE)
if refusal then
    return refusal
end
write_even_if_full(session_key)
local tick, first = ARGV[4], tonumber(ARGV[5])
local function entry_id(i)
    return tick .. '-' .. whole(first + i)
end

local count, known = #ARGV - 5, 0
for i = 0, count - 1 do
    local entry = redis.call('XRANGE', journal_key, entry_id(i), entry_id(i))[1]
    if entry then
        if entry[2][2] ~= ARGV[6 + i] or known < i then
            return refuse('journal_differs', 'another entry is stored at ' .. entry_id(i))
        end
        known = known + 1
    end
end
if known < count then
    local last = redis.call('XREVRANGE', journal_key, '+', '-', 'COUNT', '1')[1]
    if last then
        local ms, n = string.match(last[1], '^(%d+)-(%d+)$')
        ms, n = tonumber(ms), tonumber(n)
        if ms > tonumber(tick) or (ms == tonumber(tick) and n >= first + known) then
            return refuse('journal_differs', 'the journal is already at ' .. last[1])
        end
    end
    for i = known, count - 1 do
        redis.call('XADD', journal_key, entry_id(i), 'd', ARGV[6 + i])
    end
end
return {'OK', whole(count - known)}

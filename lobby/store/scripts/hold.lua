-- Takes or renews a plain lease: one holder at a time, none after its time.
--
-- KEYS 1 lease
-- ARGV 1 holder, 2 time [ms]; 0: give it up
-- Returns {OK, 1 held | 0 another holds it}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return {'OK', '0'}
end
if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
    return {'OK', '0'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'OK', '1'}

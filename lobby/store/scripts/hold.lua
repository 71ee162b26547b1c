-- Takes, renews or gives up a lease that is one string. It has one holder at a time and expires unless it is renewed.
--
-- KEYS 1 lease
-- ARGV 1 holder, 2 lifetime of the lease [ms], or 0 to give it up
-- Returns {OK, 1}: the caller holds it | {OK, 0}: another holder has it, or it was given up
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

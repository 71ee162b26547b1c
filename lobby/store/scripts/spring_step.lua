--@include clock
-- Writes one step of a spring-damper and acknowledges the entry from which it was computed, both or neither. A step
-- that the run already has is not written again; its entry is acknowledged.
--
-- KEYS 1 source stream, 2 sink stream, 3 run
-- ARGV 1 group, 2 id of the source's entry, 3 field of the run that has the sink's newest n, 4 n of this step,
--      5 entries that the sink keeps, 6 lifetime of the run's hash [s], 7 name, 8 state before (JSON),
--      9 state after (JSON), 10 the spring (JSON), stored at the run's first step
-- Returns {OK, 1}: written | {OK, 0}: the run already has this step
local known = tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or '-1')
local n = tonumber(ARGV[4])
local written = '0'
if n > known then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'name', ARGV[7], 'in', ARGV[8], 'out', ARGV[9])
    redis.call('HSET', KEYS[3], 'name', ARGV[7], ARGV[3], whole(n))
    redis.call('HSETNX', KEYS[3], 'spring', ARGV[10])
    redis.call('EXPIRE', KEYS[3], ARGV[6])
    written = '1'
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return {'OK', written}

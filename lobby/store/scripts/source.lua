--@include clock
-- Appends one batch of readings of a source that is not a session. n is assigned here and has no gaps. A source that is
-- new, or whose sensors changed, is announced on the channel of the sources.
--
-- KEYS 1 sources, 2 stream of the source
-- ARGV 1 source, 2 live channel of the stream, 3 channel of the sources, 4 batches kept, 5 timestamp,
--      6 readings (JSON), 7 sensor_info (JSON)
-- Returns {OK, n}
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', '1')[1]
local n = 1
if last then
    n = tonumber(last[2][2]) + 1
end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[7] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[7])
    redis.call('PUBLISH', ARGV[3], ARGV[1])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'n', whole(n), 'timestamp', ARGV[5], 'readings', ARGV[6])
redis.call('PUBLISH', ARGV[2], whole(n))
return {'OK', whole(n)}

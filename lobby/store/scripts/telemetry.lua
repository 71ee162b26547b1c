--@include fence
-- Appends one batch of readings of a running session, from its holder only. n is assigned here and has no gaps. The
-- session's hash keeps the smallest distance so far.
--
-- KEYS 1 session, 2 telemetry
-- ARGV 1 server, 2 nonce, 3 epoch, 4 live channel, 5 batches kept, 6 timestamp, 7 readings (JSON), 8 sensor_info (JSON)
-- Returns {OK, n} | ERR fenced
local session_key, telemetry_key = KEYS[1], KEYS[2]
local refusal = check_fence(session_key, ARGV[1], ARGV[2], ARGV[3], LIVE)
if refusal then
    return refusal
end
local n = redis.call('HINCRBY', session_key, 'telemetry_n', '1')
if n == 1 then
    redis.call('HSET', session_key, 'sensor_info', ARGV[8])
end
redis.call('XADD', telemetry_key, 'MAXLEN', '~', ARGV[5], '*', 'n', whole(n), 'timestamp', ARGV[6], 'readings', ARGV[7])
local near = cjson.decode(ARGV[7])['min_distance']
local least = redis.call('HGET', session_key, 'min_distance')
if type(near) == 'number' and (not least or near < tonumber(least)) then
    redis.call('HSET', session_key, 'min_distance', string.format('%.9g', near))
end
redis.call('PUBLISH', ARGV[4], whole(n))
return {'OK', whole(n)}

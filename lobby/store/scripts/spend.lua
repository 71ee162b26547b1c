--@include clock
-- Takes one unit from a token bucket that all servers share. The key has the time at which the bucket is full again,
-- and expires then.
--
-- KEYS 1 bucket
-- ARGV 1 time in which one unit comes back [ms], 2 units of a full bucket, 1 or more
-- Returns {OK} | {EMPTY, time until there is a unit [ms]}: nothing was taken
local bucket_key = KEYS[1]
local unit = tonumber(ARGV[1])
local at = now_ms()
local full_at = math.max(at, tonumber(redis.call('GET', bucket_key) or '0')) + unit
local wait = full_at - at - unit * tonumber(ARGV[2])
if wait > 0 then
    return {'EMPTY', whole(wait)}
end
redis.call('SET', bucket_key, whole(full_at), 'PX', whole(full_at - at))
return {'OK'}

--@include bucket
-- Takes one unit from a token bucket that all servers share.
--
-- KEYS 1 bucket
-- ARGV 1 time in which one unit comes back [ms], 2 units of a full bucket, 1 or more
-- Returns {OK} | {EMPTY, time until there is a unit [ms]}: nothing was taken
local bucket_key = KEYS[1]
local unit, at = tonumber(ARGV[1]), now_ms()
local wait = wait_for_unit(bucket_key, unit, tonumber(ARGV[2]), at)
if wait > 0 then
    return {'EMPTY', whole(wait)}
end
take_unit(bucket_key, unit, at)
return {'OK'}

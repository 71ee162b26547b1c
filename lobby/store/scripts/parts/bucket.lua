--@include clock
-- Token buckets that all servers share. A key has the time at which its bucket is full again, and expires then.

-- Returns the time until a bucket has a unit [ms]; 0: it has one. unit: time in which one comes back [ms].
-- most: units of a full bucket, 1 or more.
local function wait_for_unit(bucket_key, unit, most, at)
    local full_at = math.max(at, tonumber(redis.call('GET', bucket_key) or '0')) + unit
    return math.max(0, full_at - at - unit * most)
end

-- Takes one unit from a bucket that has one.
local function take_unit(bucket_key, unit, at)
    local full_at = math.max(at, tonumber(redis.call('GET', bucket_key) or '0')) + unit
    redis.call('SET', bucket_key, whole(full_at), 'PX', whole(full_at - at))
end

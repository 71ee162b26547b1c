-- How far the recording of a session goes.

-- Writes the fields that the holder gives, ARGV[at] names and values from ARGV[at + 1] on; 0 of them changes nothing.
local function write_recording(recording_key, at)
    for i = at + 1, at + tonumber(ARGV[at]), 2 do
        redis.call('HSET', recording_key, ARGV[i], ARGV[i + 1])
    end
end

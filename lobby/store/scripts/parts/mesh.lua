--@include clock
-- The jobs that make meshes.

-- Sends the state and percentage of a mesh to the viewers of a session.
local function send_mesh(channel, sha256, state, percent)
    redis.call('PUBLISH', channel, '{"t":"mesh","d":{"mesh":"' .. sha256 .. '","state":"' .. state .. '","percent":'
        .. percent .. '}}')
end

-- Sends the state and percentage of a mesh to the sessions that follow it: the channels in its field `channels`.
local function show_mesh(mesh_key, sha256)
    local now = redis.call('HMGET', mesh_key, 'channels', 'state', 'percent')
    for channel in string.gmatch(now[1] or '', '%S+') do
        send_mesh(channel, sha256, now[2], now[3])
    end
end

-- Removes a job from the stream, and from the number of jobs of its player that wait.
local function end_job(stream_key, use_key, group, entry, player)
    redis.call('XACK', stream_key, group, entry)
    redis.call('XDEL', stream_key, entry)
    if player and redis.call('HINCRBY', use_key, 'jobs.' .. player, '-1') <= 0 then
        redis.call('HDEL', use_key, 'jobs.' .. player)
    end
end

--@include clock
-- The jobs that make meshes.

-- Sends the state and percentage of a mesh, and of a refused one why and where, to the viewers of sessions. channels:
-- text, with spaces between.
local function send_mesh(mesh_key, sha256, channels)
    local now = redis.call('HMGET', mesh_key, 'state', 'percent', 'reason', 'place')
    local why = ''
    if now[1] == 'refused' then
        why = now[3] and ',"reason":"' .. now[3] .. '"' or ''
        why = why .. (now[4] and ',"place":' .. now[4] or '')
    end
    for channel in string.gmatch(channels, '%S+') do
        redis.call('PUBLISH', channel, '{"t":"mesh","d":{"mesh":"' .. sha256 .. '","state":"' .. now[1]
            .. '","percent":' .. (now[2] or '0') .. why .. '}}')
    end
end

-- Sends the state of a mesh to the sessions that follow it: the channels in its field `channels`.
local function show_mesh(mesh_key, sha256)
    send_mesh(mesh_key, sha256, redis.call('HGET', mesh_key, 'channels') or '')
end

-- Removes a job from the stream, and from the number of jobs of its player that wait.
local function end_job(stream_key, use_key, group, entry, player)
    redis.call('XACK', stream_key, group, entry)
    redis.call('XDEL', stream_key, entry)
    if player and redis.call('HINCRBY', use_key, 'jobs.' .. player, '-1') <= 0 then
        redis.call('HDEL', use_key, 'jobs.' .. player)
    end
end

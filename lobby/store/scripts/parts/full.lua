-- Writing to a store that has no memory left. For the scripts that a running session and its members need, and for
-- those that free memory.

-- Lets the writes after it succeed although the store is at `maxmemory`. The store then refuses a script whose first
-- write may need memory, but never a later write of it, since that would leave a half-done change. This first write
-- needs no memory and changes nothing. What is written this way is bounded: the streams of a session are trimmed.
local function write_even_if_full(session_key)
    redis.call('HDEL', session_key, 'no_such_field')
end

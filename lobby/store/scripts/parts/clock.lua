-- The store's clock, whole numbers as text, and refusals. For every script.

-- The store's time [ms].
local function now_ms()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Returns a whole number as text, the same text in Lua 5.1 and 5.4.
local function whole(number)
    return string.format('%.0f', tonumber(number))
end

-- Returns the reply of a script that refuses a call. lobby/store/store.py turns the code into an error.
local function refuse(code, message)
    return {'ERR', code, message}
end

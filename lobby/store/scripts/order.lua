-- Appends an operator's order to the stream that every server reads: a notice to sessions, or a server to drain.
--
-- KEYS 1 orders
-- ARGV 1 notice | drain, 2 session or '' for all, or "server:nonce", 3 text, 4 player id of the operator,
--      5 orders that the stream keeps
-- Returns {OK}
local orders_key = KEYS[1]
redis.call('XADD', orders_key, 'MAXLEN', '~', ARGV[5], '*', 'kind', ARGV[1], 'target', ARGV[2], 'text', ARGV[3],
    'by', ARGV[4])
return {'OK'}

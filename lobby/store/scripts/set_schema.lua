-- Raises the number of the stored layout after a migration, unless another process has raised it.
--
-- KEYS 1 meta
-- ARGV 1 the version that was migrated, 2 the next version
-- Returns {OK, 1} | {OK, 0}: the stored version is not the one that was migrated
if redis.call('HGET', KEYS[1], 'schema') ~= ARGV[1] then
    return {'OK', '0'}
end
redis.call('HSET', KEYS[1], 'schema', ARGV[2])
return {'OK', '1'}

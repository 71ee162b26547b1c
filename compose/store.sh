#!/bin/sh
# The store's entry point: writes one user per role with the rights that the role needs, then starts the store.
#
#   default  everything; used only by the client inside the container (REDISCLI_AUTH)
#   server   the realm's keys and channels; no administration
#   worker   sessions, players' records, indexes, streams; neither logins nor tickets; the catalogue is read only
#   seed     the catalogue
#   reader   read only, public keys: sessions, events, standings; for dashboards and event consumers
#
# Only digests of the passwords are written. Players (bots, browsers) have no user: they never connect to the store.
# `store.sh users FILE` only writes the users.
set -eu
umask 022
acl=${2:-/tmp/users.acl}
tag="{${REALM:-main}}:"
digest() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }
keys() { for name in "$@"; do printf ' ~%s%s' "$tag" "$name"; done; }
reads() { for name in "$@"; do printf ' %%R~%s%s' "$tag" "$name"; done; }
public="session:* sessions:* lobbies:* leaderboard:* lifecycle servers catalogue:* positions velocities sources source:* storage meta"
safe="+@all -@admin -@dangerous +info"
set -f
cat >"$acl" <<USERS
user default on #$(digest "$REDISCLI_AUTH") ~* &* +@all
user server on #$(digest "$STORE_SERVER_PASSWORD") ~${tag}* &${tag}* $safe
user worker on #$(digest "$STORE_WORKER_PASSWORD")$(keys 'session:*' 'sessions:*' 'lobbies:*' 'bots:*' 'player:*' 'leaderboard:*' 'meetings:*' 'server:*' servers lifecycle deadlines meta positions velocities 'spring:*' 'scene:*' replays 'replay:*' recordings 'recordings:*' uploads 'uploads:*' 'upload:*' 'fork:*' 'forks:*' 'archive:*' 'mesh:*' meshes 'meshes:*' 'worker*' storage 'storage:*' sources 'source:*')$(reads 'catalogue:*') &${tag}* &simulation_updates $safe
user seed on #$(digest "$STORE_SEED_PASSWORD")$(keys 'catalogue:*' meta) resetchannels $safe
user reader on #$(digest "$STORE_READER_PASSWORD")$(reads $public) &${tag}* +@read +@connection -@dangerous +subscribe +unsubscribe +psubscribe +punsubscribe +info +time
USERS
[ "${1:-}" != users ] || exit 0
unset STORE_SERVER_PASSWORD STORE_WORKER_PASSWORD STORE_SEED_PASSWORD STORE_READER_PASSWORD

if [ "${STORE_KIND:-redis}" = dragonfly ]; then
    exec dragonfly --logtostderr --dir /data --dbfilename dump --snapshot_cron '* * * * *' \
        --proactor_threads=2 --maxmemory=1gb --aclfile "$acl"
fi
server=redis-server
command -v "$server" >/dev/null || server=valkey-server
start=
command -v docker-entrypoint.sh >/dev/null && start=docker-entrypoint.sh
exec $start "$server" --bind 0.0.0.0 --protected-mode no --dir /data --appendonly yes \
    --appendfsync "${STORE_FSYNC:-everysec}" --save '' --maxmemory "${STORE_MAXMEMORY:-1gb}" \
    --maxmemory-policy noeviction --aclfile "$acl"

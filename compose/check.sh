#!/bin/bash
# Check the whole stack end to end, as its users run it, in a separate project. Removes it at the end.
#
#   compose/check.sh                    with docker compose
#   COMPOSE="podman-compose" compose/check.sh      with any compatible program
#   KEEP=1                              leaves the stack up; UP_FLAGS adds flags to `up` (e.g. --no-build)
#
# It starts three servers, two workers and bots, and checks: the README's recipes through exec; bots finish matches;
# sessions run on several servers; scaling players down and up loses nothing; sessions that ended without a worker are
# cleaned when one starts; a stopped server hands its sessions over.
set -euo pipefail
cd "$(dirname "$0")/.."
compose=(${COMPOSE:-docker compose} -p "${PROJECT:-tussle-check}" --env-file "${ENV_FILE:-.env}" -f compose/docker-compose.yml ${COMPOSE_FILES:-})
export HTTP_PORT=${HTTP_PORT:-8089} SIM_SPEED=${SIM_SPEED:-0} BOT_THINK_S=${BOT_THINK_S:-0} EXPIRY_S=${EXPIRY_S:-20} SWEEP_S=${SWEEP_S:-2} LOBBY_TIMEOUT_S=${LOBBY_TIMEOUT_S:-10} PLAYER_COUNT=${PLAYER_COUNT:-2}
. compose/checking.sh
# Read from the logs of workers and servers: the keys of a failed session may have expired.
failures() { "${compose[@]}" logs --no-log-prefix worker server 2>/dev/null | grep -cE '"ended_as":"failed"|"event":"session_failed"' || true; }
ended() { store ZCARD '{main}:sessions:ended'; }

compose/make-env.sh "${ENV_FILE:-.env}" >/dev/null
"${compose[@]}" config -q && ok "the compose file is valid"
"${compose[@]}" up -d ${UP_FLAGS:-} --scale server=3 --scale worker=2 --scale player=4 >/dev/null 2>&1 || { "${compose[@]}" ps -a; "${compose[@]}" logs --tail 20; bad "up"; exit 1; }
until_true 120 more_than 2 'store ZCARD {main}:servers' && ok "three servers have their leases" || bad "servers: $(store ZCARD '{main}:servers')"

before=$(total)
until_true 90 more_than $((before + 12)) total && ok "bots play: $(total) lifecycle entries" || bad "bots do not play"

token=$(store ZRANGE '{main}:sessions:running' 0 0)
[ -n "$token" ] || token=$(store ZREVRANGE '{main}:sessions:ended' 0 0)
for recipe in "HGETALL {main}:session:$token" "SMEMBERS {main}:session:$token:players" "LRANGE {main}:session:$token:order 0 -1" \
    "XREVRANGE {main}:session:$token:events + - COUNT 5" "XRANGE {main}:session:$token:journal - + COUNT 5" \
    "XREVRANGE {main}:lifecycle + - COUNT 5" "ZREVRANGE {main}:leaderboard:duel 0 9 WITHSCORES"; do
    # The lifecycle stream can be empty: the sweep trims entries that every group has acknowledged.
    answers() { answer=$(store $recipe 2>&1) && [ -n "$answer" ]; }
    until_true 15 answers || true
    case $answer in
        '' | *ERR* | *NOAUTH* | *NOPERM* | *WRONGTYPE*) bad "redis-cli $recipe: ${answer:-nothing}" ;;
        *) ok "redis-cli $recipe" ;;
    esac
done

holders=$(for t in $(store ZRANGE '{main}:sessions:running' 0 -1) $(store ZRANGE '{main}:sessions:ended' 0 -1); do store HGET "{main}:session:$t" holder; done | sort -u | grep -c . || true)
[ "$holders" -ge 2 ] && ok "sessions run on $holders servers" || bad "all sessions are on one server"

for who in 'server XLEN {main}:lifecycle:0' 'worker HGETALL {main}:login:x:1' 'reader DEL {main}:meta:1' 'seed GET {main}:player:x:1'; do
    set -- ${who%:*}; name=$(printf %s "$1" | tr a-z A-Z); secret=$(grep "^STORE_${name}_PASSWORD=" "${ENV_FILE:-.env}" | cut -d= -f2)
    answer=$("${compose[@]}" exec -T -e REDISCLI_AUTH="$secret" redis redis-cli --user "$1" "${@:2}" 2>&1 || true)
    if [ "${who##*:}" = 1 ]; then case $answer in *NOPERM*) ok "store user $1 may not: ${*:2}" ;; *) bad "store user $1 may: ${*:2}: $answer" ;; esac
    else case $answer in *NOPERM* | *NOAUTH* | *WRONGPASS*) bad "store user $1: $answer" ;; *) ok "store user $1 may: ${*:2}" ;; esac; fi
done

up --scale server=3 --scale worker=2 --scale player=1
before=$(total)
up --scale server=3 --scale worker=2 --scale player=5
until_true 60 more_than $((before + 10)) total && ok "players scaled down to 1 and up to 5 in mid-play: play goes on" || bad "play stopped after scaling players"
failures=$(failures)
[ "$failures" = 0 ] && ok "no session failed" || bad "$failures sessions failed"

up --scale server=3 --scale player=4 --scale worker=0
more=$(ended)
until_true 60 more_than $((more + 2)) ended && ok "with no worker sessions end and wait: $(ended)" || bad "nothing ended without a worker"
"${compose[@]}" stop -t 10 player >/dev/null 2>&1
old=$(store ZRANGE '{main}:sessions:ended' 0 0)
up --no-deps --scale worker=1 worker
swept() { [ "$(store TTL "{main}:session:$old")" != -1 ]; }
until_true 60 swept && ok "a worker started and cleaned them: TTL $(store TTL "{main}:session:$old")" || bad "not cleaned: TTL $(store TTL "{main}:session:$old")"

up --scale server=3 --scale worker=1 --scale player=4
before=$(total)
until_true 60 more_than $((before + 4)) total || bad "bots did not come back"
up --scale server=2 --scale worker=1 --scale player=4
before=$(total)
until_true 90 more_than $((before + 10)) total && ok "one of three servers was stopped in mid-play: play goes on" || bad "play stopped with a server"
failures=$(failures)
[ "$failures" = 0 ] && ok "no session failed" || bad "$failures sessions failed"
lost=$("${compose[@]}" logs --no-log-prefix server 2>/dev/null | grep -c '"level":"error"' || true)
[ "$lost" = 0 ] && ok "no server logged an error" || { bad "$lost errors in the servers' logs"; "${compose[@]}" logs --no-log-prefix server | grep '"level":"error"' | cut -c1-400 | tail -3; }
secrets=$(grep -E '^STORE_.*=.' "${ENV_FILE:-.env}" | cut -d= -f2)
shown=$("${compose[@]}" logs --no-log-prefix 2>/dev/null | grep -cF "$secrets" || true)
[ "$shown" = 0 ] && ok "no password is in any log" || bad "$shown log lines with a password"
verdict

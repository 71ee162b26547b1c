#!/bin/bash
# Start each optional profile, check its service, and remove it again, one after the other.
#
#   compose/profiles.sh                        all of them
#   compose/profiles.sh valkey tls             some of: valkey spring storage observability embedded tls dev dragonfly
#   COMPOSE, UP_FLAGS, KEEP                    as for check.sh
#
# A profile whose image is not available is only validated, and reported as NOT RUN.
set -euo pipefail
cd "$(dirname "$0")/.."
export HTTP_PORT=${HTTP_PORT:-8089} HTTPS_PORT=${HTTPS_PORT:-8449} HTTP_BIND=127.0.0.1 EMBEDDED_PORT=${EMBEDDED_PORT:-8429}
export STORE_HOST_PORT=${STORE_HOST_PORT:-6389} SIM_SPEED=${SIM_SPEED:-0} BOT_THINK_S=${BOT_THINK_S:-0} PLAYER_COUNT=2
plain=(${COMPOSE:-docker compose} -p "${PROJECT:-tussle-profiles}" --env-file "${ENV_FILE:-.env}" -f compose/docker-compose.yml)
compose=("${plain[@]}")
. compose/checking.sh
compose/make-env.sh "${ENV_FILE:-.env}" >/dev/null
# Remove the stack and empty the store's volume.
clear() {
    "${compose[@]}" --profile '*' down --timeout 20 >/dev/null 2>&1 || true
    "${plain[@]}" run --rm --no-deps -T --user 0 --entrypoint sh redis -c 'find /data -mindepth 1 -delete' >/dev/null 2>&1 || true
}
plays() { until_true 150 more_than 6 total; }
# boot NAME SERVICES...: start and wait; on failure print the cause
boot() {
    local name=$1 log
    shift
    if log=$(timeout 400 "${compose[@]}" up -d ${UP_FLAGS:-} "$@" 2>&1); then return 0; fi
    if grep -qiE 'pull access|no such image|not found|lookup|manifest|timeout|resolv' <<<"$log"; then
        "${compose[@]}" --profile '*' config -q && say "!!      $name: NOT RUN, its image is not available; the files are valid"
    else
        bad "$name: $(tail -n 3 <<<"$log" | tr '\n' ' ')"
    fi
    return 1
}

valkey() {
    export STORE_IMAGE=valkey/valkey:9-alpine
    if boot valkey server worker nginx player; then
        [[ $(store INFO server) == *valkey* ]] && plays && ok "valkey: bots play on $(store INFO server | tr -d '\r' | sed -n 's/^valkey_version:/Valkey /p')" || bad "valkey: no play"
    fi
    unset STORE_IMAGE
}
spring() {
    compose+=(--profile spring)
    boot spring redis velocity position || return 0
    until_true 60 store PING
    store XADD '{main}:positions' '*' name check in '{"x":0,"v":1,"t":0.0}' out '{"x":0,"v":1,"t":0.0}' >/dev/null
    steps() { store XLEN '{main}:positions'; }
    until_true 60 more_than 1000 steps && ok "spring: one entry by hand, $(steps) positions, $(store XLEN '{main}:velocities') velocities" || bad "spring: $(steps) positions"
}
storage() {
    compose+=(--profile storage)
    boot storage influxdb storage server worker nginx player || return 0
    rows() { "${compose[@]}" exec -T influxdb sh -c 'influx -username admin -password "$INFLUXDB_ADMIN_PASSWORD" -database tussle -execute "SELECT count(*) FROM /.*/" -format csv' | grep -c . || true; }
    plays && until_true 60 more_than 1 rows && ok "storage: bots play, InfluxDB has rows of $(rows) series" || bad "storage: nothing in InfluxDB"
    secret=$(grep '^INFLUXDB_PASSWORD=' "${ENV_FILE:-.env}" | cut -d= -f2)
    "${compose[@]}" logs --no-log-prefix storage server 2>/dev/null | grep -qF "$secret" && bad "storage: its password is in a log" || ok "storage: its password is in no log"
}
observability() {
    compose+=(--profile observability)
    boot observability prometheus server nginx worker player || return 0
    query() { "${compose[@]}" exec -T prometheus wget -qO- "http://127.0.0.1:9090/api/v1/query?query=$1"; }
    found() { [[ $(query 'tussle_ticks_total') == *'"value"'* ]]; }
    plays && until_true 60 found && ok "observability: Prometheus found the server by DNS and has its ticks" || bad "observability: no metrics: $(query up | head -c 200)"
    boot "observability, dashboards" grafana || return 0
    until_true 60 "${compose[@]}" exec -T grafana wget -qO- http://127.0.0.1:3000/api/health && ok "observability: the dashboards answer" || bad "observability: no dashboards"
}
embedded() {
    compose+=(--profile embedded)
    boot embedded embedded || return 0
    sessions() { curl -fsS --max-time 5 "http://127.0.0.1:$EMBEDDED_PORT/api/sessions?status=running" | grep -c '"session"' || true; }
    until_true 200 more_than 0 sessions && ok "embedded: store, server, worker and bots in one container, sessions run" || bad "embedded: nothing runs"
}
tls() {
    mkdir -p compose/certs
    if [ ! -e compose/certs/privkey.pem ]; then
        openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout compose/certs/privkey.pem -out compose/certs/fullchain.pem 2>/dev/null
        made=1
    fi
    compose+=(-f compose/tls.yml)
    if boot tls server worker nginx player; then
        secure() { curl -fsSk --max-time 5 -D - "https://127.0.0.1:$HTTPS_PORT/healthz"; }
        plays && until_true 30 secure && [[ $(secure) == *trict-*ransport-* ]] && ok "tls: https answers, with strict transport security; bots play behind it" || bad "tls: $(secure 2>&1 | head -c 200)"
        moved=$(curl -sS -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:$HTTP_PORT/" || true)
        [ "$moved" = 301 ] && ok "tls: http leads to https" || bad "tls: http answers $moved"
    fi
    [ -z "${made:-}" ] || rm -r compose/certs
}
dev() {
    compose+=(-f compose/dev.yml)
    boot dev server worker nginx player || return 0
    plays && ok "dev: the checkout's sources run in the containers, bots play" || bad "dev: no play"
    until_true 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$STORE_HOST_PORT" && ok "dev: the store answers on loopback" || bad "dev: no store on loopback"
}
dragonfly() {
    export STORE_HOST=dragonfly
    compose+=(--profile dragonfly)
    if boot dragonfly --scale redis=0 dragonfly server worker nginx player; then
        plays && ok "dragonfly: bots play" || bad "dragonfly: no play"
    fi
    unset STORE_HOST
}

[ $# -gt 0 ] || set -- valkey spring storage observability embedded tls dev dragonfly
for name in "$@"; do
    compose=("${plain[@]}")
    "$name" || bad "$name: broke off"
    clear
done
verdict

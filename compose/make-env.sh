#!/bin/sh
# Write .env in the project's root, with fresh passwords. An existing .env is kept; only missing
# passwords are added. Prints the names only.
set -eu
umask 077
file=${1:-$(dirname "$0")/../.env}
touch "$file"
for name in STORE_PASSWORD STORE_SERVER_PASSWORD STORE_WORKER_PASSWORD STORE_SEED_PASSWORD STORE_READER_PASSWORD \
    INFLUXDB_PASSWORD GRAFANA_PASSWORD BOT_SECRET; do
    if ! grep -q "^$name=." "$file"; then
        [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ] && echo >>"$file"
        printf '%s=%s\n' "$name" "$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')" >>"$file"
        echo "$name: made"
    fi
done

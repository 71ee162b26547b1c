# Functions of check.sh and profiles.sh: sourced from the project's root, with `compose` set. The stack is always removed
# at the end, except with KEEP=1.
failed=0
say() { printf '[%4ss] %s\n' "$SECONDS" "$*"; }
ok() { say "ok      $*"; }
bad() { say "FAILED  $*"; failed=1; }
store() { "${compose[@]}" exec -T "${STORE_HOST:-redis}" redis-cli "$@"; }
up() { "${compose[@]}" up -d ${UP_FLAGS:-} --no-recreate "$@" >/dev/null 2>&1; }
total() { store XINFO STREAM '{main}:lifecycle' 2>/dev/null | awk '/entries-added/{getline; print $1; found = 1} END {if (!found) print 0}'; }
# until_true SECONDS COMMAND...: retry the command; fail if it does not succeed in that time
until_true() { local left=$1; shift; while ! "$@" >/dev/null 2>&1; do [ "$left" -gt 0 ] || return 1; left=$((left - 1)); sleep 1; done; }
more_than() { [ "$($2)" -gt "$1" ]; }
down() { "${compose[@]}" --profile '*' down -v --timeout 20 >/dev/null 2>&1 || true; }
cleanup() { [ -n "${KEEP:-}" ] || down; }
verdict() { [ "$failed" = 0 ] && say "all checks passed" || say "SOME CHECKS FAILED"; exit "$failed"; }
trap cleanup EXIT
trap 'say "FAILED  line $LINENO"' ERR

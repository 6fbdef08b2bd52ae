#!/usr/bin/env bash
# Checks that .sqlx, against which builds verify the queries, says what the migrated database
# says. Needs no sqlx-cli.
#
# Usage: scripts/check-sqlx.sh          fail when .sqlx is not current
#        scripts/check-sqlx.sh --write  make it current
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/throwaway.sh

# The macros run only when the compiler does. A fresh copy of the sources at a fixed place is
# always compiled, while its dependencies and the next ordinary build stay as they are.
copy_sources() {
  local entry
  rm -rf "$COPY"
  mkdir -p "$COPY" "$FRESH"
  for entry in * .env.example; do
    if [[ ! $entry -ef $TARGET ]]; then cp -R "$entry" "$COPY/"; fi
  done
}

# With psql: the program that migrates has queries of its own, and does not build while .sqlx lacks some.
migrate() {
  local migration transaction object
  pg_psql postgres -c 'CREATE DATABASE sqlx'
  LIVE=$(pg_url sqlx)
  # The program makes it before the first migration.
  pg_psql sqlx -c 'CREATE TABLE notify_fan_out_migrations (version bigint PRIMARY KEY, installed_on timestamptz)'
  for migration in migrations/*.sql; do
    transaction=-1
    if [[ $(head -n 1 "$migration") == '-- no-transaction'* ]]; then transaction=''; fi
    PGOPTIONS='-c client_min_messages=warning' pg_psql sqlx $transaction -f "$migration" >/dev/null || die "$migration failed"
  done
  for object in can_view can_view_many; do
    sed 's/{home}/public/g; s/{path}/public, pg_temp/g' "migrations/objects/$object.sql" | pg_psql sqlx || die "$object failed"
  done
}

ask_database() {
  step 'checking every query against the migrated database'
  CARGO_TARGET_DIR=$TARGET SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$FRESH DATABASE_URL=$LIVE \
    cargo check --locked --quiet --all-targets --manifest-path "$COPY/Cargo.toml" || return
  # Cargo takes the copy for the clone: the next check there would believe the copy's old sources.
  find "$TARGET/debug/.fingerprint" -maxdepth 1 -name 'notify-fan-out-*' -newer "$STARTED" -exec rm -rf {} +
}

compare() {
  mkdir -p "$FRESH"
  if [[ ! -d .sqlx && -z $(ls -A "$FRESH") ]]; then return 0; fi
  diff -ruN .sqlx "$FRESH" >"$FRESH.diff"
}

write() {
  mkdir -p .sqlx
  find .sqlx -name 'query-*.json' -delete
  if [[ -n $(ls -A "$FRESH") ]]; then cp "$FRESH"/query-*.json .sqlx/; fi
  step "wrote .sqlx ($(find .sqlx -name 'query-*.json' | wc -l | tr -d ' ') queries)"
}

main() {
  help_if_asked scripts/check-sqlx.sh "$@"
  if [[ -n ${1:-} && $1 != --write ]]; then usage_error "unknown option: $1"; fi
  require rust compiler server
  TARGET=$(absolute_target)
  COPY=$TARGET/check-sqlx
  throwaway_start 'max_connections = 50'
  FRESH=$PG_HOME/sqlx
  STARTED=$PG_HOME/started
  : >"$STARTED"
  copy_sources
  migrate
  ask_database
  if compare; then
    step '.sqlx is current'
  elif [[ ${1:-} == --write ]]; then
    write
  else
    head -n 60 "$FRESH.diff" >&2
    die '.sqlx is not current; run scripts/check-sqlx.sh --write and commit it'
  fi
}

main "$@"

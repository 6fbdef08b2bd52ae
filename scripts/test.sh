#!/usr/bin/env bash
# Runs all tests: gets PostgreSQL, PgBouncer and some software to check against where they are
# missing, starts a throw-away PostgreSQL, and calls cargo test.
#
# Usage: scripts/test.sh [ARGUMENT OF cargo test…]
#        scripts/test.sh --test integration coalescing
#
# The tests find what they need in the environment:
#   TEST_DATABASE_URL   superuser's connection to the throw-away server, database postgres
#   TEST_PG_BIN         directory of the server's programs, for tests that start their own
#   TEST_PGBOUNCER      path of the program pgbouncer
#   TEST_RUN_AS         account for such servers, which refuse to run as root; empty unless root
#   TEST_PYTHON         Python with aiosmtpd and standardwebhooks
#   TEST_NODE           Node.js
#   TEST_EMULATE        folder that the npm package emulate is installed in
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/throwaway.sh
source scripts/lib/foreign.sh

# Debian ships the module with the server; others put it in a contrib package.
preload_statistics() {
  local libraries
  libraries=$("$PG_BIN/pg_config" --pkglibdir 2>/dev/null || pg_config --pkglibdir 2>/dev/null || true)
  if compgen -G "$libraries/pg_stat_statements.*" >/dev/null; then
    echo 'shared_preload_libraries = pg_stat_statements'
  else
    warn 'pg_stat_statements is not installed (package postgresql-contrib)'
  fi
}

main() {
  help_if_asked scripts/test.sh "${1:-}"
  require rust compiler server pgbouncer python
  foreign_require "$(absolute_target)/foreign"
  throwaway_start 'max_connections = 200' 'deadlock_timeout = 200ms' \
    'max_prepared_transactions = 8' 'log_min_messages = warning' \
    'log_min_error_statement = panic' "$(preload_statistics)"
  TEST_DATABASE_URL=$(pg_url postgres)
  TEST_PG_BIN=$PG_BIN
  TEST_RUN_AS=$PG_USER
  # Most tests wait for a server or another process most of the time.
  RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}
  export TEST_DATABASE_URL TEST_PG_BIN TEST_PGBOUNCER TEST_RUN_AS RUST_TEST_THREADS
  cargo test --locked "$@"
}

main "$@"

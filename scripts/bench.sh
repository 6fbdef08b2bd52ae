#!/usr/bin/env bash
# Measures the job against what PostgreSQL itself needs to write the same rows: gets PostgreSQL
# where it is missing, starts a throw-away one with durable settings, builds the release, measures.
#
# Usage: scripts/bench.sh [OPTION…]
#        scripts/bench.sh                           all but the soak
#        scripts/bench.sh --quick                   small and fast: shows that it works
#        scripts/bench.sh --only load,statements    where the time of the default load goes
#        scripts/bench.sh --only writer             what the trigger costs those who write events
#        scripts/bench.sh --only claim,idle         … and a history those who claim
#        scripts/bench.sh --only audience           one event to a million people
#        scripts/bench.sh deliver                   10,000 messages to fast receivers
#        scripts/bench.sh --only client             start, processor time and memory of the program
#        scripts/bench.sh --only soak               ten minutes of events, with a run each second
#
#   --only WHAT,…          measure only this
#   --quick                small sizes and few runs
#   --json FILE            write the result to this file too
#   --runs N               runs of each measurement; medians are shown
#   --workers N,…          processes at once
#   --events N             events of the load
#   --history N,…          completed events behind the claim and the idle run
#   --audience N           people that one event concerns
#   --messages N           messages of each kind that are delivered
#   --soak-minutes N       how long the soak goes on
#
# All options, with their defaults: cargo bench --bench bench -- --help
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh
source scripts/lib/packages.sh
source scripts/lib/postgres.sh
source scripts/lib/requirements.sh
source scripts/lib/throwaway.sh

bench() { cargo bench --locked -q --bench bench -- "$@"; }

main() {
  local argument
  for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
      print_header_help scripts/bench.sh
      exit 0
    fi
  done
  require rust compiler server
  step 'building the release'
  cargo bench --locked -q --no-run --bench bench
  # Everything that makes a commit durable is on. What the job itself is measured with stays at
  # PostgreSQL's defaults, but for memory, which nobody leaves at 128 MB, and for checkpoints,
  # which should not fall into one run and not into the next. When a transaction committed is
  # remembered because the soak's latencies are those until the commit.
  throwaway_start 'fsync = on' 'full_page_writes = on' 'synchronous_commit = on' \
    'shared_buffers = 512MB' 'max_wal_size = 8GB' 'checkpoint_timeout = 30min' \
    'track_commit_timestamp = on' 'shared_preload_libraries = pg_stat_statements'
  BENCH_DATABASE_URL=$(pg_url postgres)
  BENCH_SERVER_LOG=$PG_HOME/log
  export BENCH_DATABASE_URL BENCH_SERVER_LOG
  bench "$@"
}

main "$@"

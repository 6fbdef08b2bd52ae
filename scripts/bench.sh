#!/usr/bin/env bash
# Measures the job against what PostgreSQL itself needs to write the same rows: gets PostgreSQL
# where it is missing, starts a throw-away one with durable settings, builds the release, measures.
#
# Usage: scripts/bench.sh [WHAT…] [OPTION…]
#        scripts/bench.sh                     everything
#        scripts/bench.sh --quick             small and fast: shows that it works
#        scripts/bench.sh load statements     where the time of the default load goes
#        scripts/bench.sh refused             … and what it costs where the database refuses events
#        scripts/bench.sh claim idle          … and what a history adds to a claim and to an idle run
#        scripts/bench.sh deliver             10,000 messages to fast receivers
#
#   --quick                small sizes and few runs
#   --json FILE            write the result to this file too
#   --runs N               runs of each measurement; medians are shown
#   --workers N,…          processes at once
#   --events N             events of the load
#   --history N,…          completed events behind the claim and the idle run
#   --messages N           messages of each kind that are delivered
#
# All options, with their defaults: cargo bench --bench bench -- --help
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/throwaway.sh

main() {
  help_if_asked scripts/bench.sh "$@"
  require rust compiler server
  step 'building the release'
  cargo bench --locked -q --no-run --bench bench
  # Everything that makes a commit durable is on. What the job itself is measured with stays at
  # PostgreSQL's defaults, but for memory, which nobody leaves at 128 MB, and for checkpoints,
  # which should not fall into one run and not into the next.
  throwaway_start 'fsync = on' 'full_page_writes = on' 'synchronous_commit = on' \
    'shared_buffers = 512MB' 'max_wal_size = 8GB' 'checkpoint_timeout = 30min' \
    'shared_preload_libraries = pg_stat_statements' 'track_commit_timestamp = on'
  BENCH_DATABASE_URL=$(pg_url postgres)
  export BENCH_DATABASE_URL
  cargo bench --locked -q --bench bench -- "$@"
}

main "$@"

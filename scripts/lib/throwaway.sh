# shellcheck shell=bash
# A PostgreSQL for one command, in a temporary folder, gone when the script ends.
# Needs ROOT, and to be sourced there.
source scripts/lib/ui.sh
source scripts/lib/packages.sh
source scripts/lib/postgres.sh
source scripts/lib/requirements.sh

throwaway_cleanup() {
  local status=$?
  trap - EXIT INT TERM HUP
  if [[ -n ${PG_HOME:-} && -d $PG_HOME ]]; then
    # Nothing in it is worth a checkpoint.
    pg_stop immediate >/dev/null 2>&1 || true
    if [[ ${PG_SOCKET:-} != "$PG_HOME"/* ]]; then rm -rf -- "${PG_SOCKET:-}"; fi
    rm -rf -- "$PG_HOME"
  fi
  exit "$status"
}

# throwaway_start [CONFIGURATION LINE…]
throwaway_start() {
  require server
  pg_use_unprivileged_user
  trap throwaway_cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  PG_HOME=$(cd "${TMPDIR:-/tmp}" && mktemp -d "$PWD/notify-fan-out-pg.XXXXXX")
  pg_make_private_dir "$PG_HOME"
  step "starting a throw-away PostgreSQL $(pg_major_of "$PG_BIN")"
  pg_create_cluster 'fsync = off' 'full_page_writes = off' 'max_wal_size = 2GB' "$@"
  pg_start
}

#!/usr/bin/env bash
# Builds notify-fan-out when its sources changed, and runs it. Without DATABASE_URL it runs on
# a private PostgreSQL that it keeps in this clone. See ./run.sh --help.
#
# A copy of the binary alone needs none of this: DATABASE_URL=… notify-fan-out run
#
# FANOUT_BINARY=PATH runs another build of it; FANOUT_PG_BIN=DIR uses the PostgreSQL in DIR.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# The binary looks for .env in its working directory; cron starts in a home directory.
cd "$ROOT"

load() {
  local library
  for library in "$@"; do
    # shellcheck source=/dev/null
    source "$ROOT/scripts/lib/$library.sh"
  done
}

# --- the binary -----------------------------------------------------------------------------

find_binary() {
  if [[ -n ${FANOUT_BINARY:-} ]]; then
    BINARY=$FANOUT_BINARY
  elif [[ ! -f Cargo.toml ]]; then
    BINARY=$ROOT/notify-fan-out
  else
    TARGET=${CARGO_TARGET_DIR:-target}
    BINARY=$TARGET/release/notify-fan-out
    build_if_stale
  fi
  if [[ ! -x $BINARY ]]; then
    load ui
    die "there is no program at $BINARY: put it there, or run this in a full clone"
  fi
}

# Cron runs this every minute: one look at the times of a few dozen files. The stamp stands for
# the binary, whose own time cargo leaves alone when nothing it compiles has changed.
is_stale() {
  local inputs=() input
  if [[ ! -x $BINARY || ! -f $BINARY.stamp ]]; then return 0; fi
  for input in Cargo.toml Cargo.lock build.rs src migrations seed .sqlx .cargo; do
    if [[ -e $input ]]; then inputs+=("$input"); fi
  done
  [[ -n $(find "${inputs[@]}" -newer "$BINARY.stamp" -print -quit) ]]
}

find_cargo() {
  if command -v cargo >/dev/null 2>&1; then
    CARGO=cargo
  elif [[ -x ${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo ]]; then
    CARGO=${CARGO_HOME:-$HOME/.cargo}/bin/cargo
    PATH=$(dirname "$CARGO"):$PATH
  else
    return 1
  fi
}

build_if_stale() {
  if ! is_stale; then return 0; fi
  load ui
  if ! find_cargo; then
    if [[ -x $BINARY ]]; then
      warn 'the sources are newer than the program, and cargo is not installed: running the old one'
      return 0
    fi
    die "cargo is not installed. Install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer (rustup: see rust-lang.org/tools/install), then run this again"
  fi
  step 'building (the first time takes some minutes)'
  mkdir -p "$TARGET/release"
  # The stamp is as old as the start of the build, so that an edit during it counts.
  : >"$BINARY.stamp.$$"
  if ! "$CARGO" build --release --locked >&2; then
    rm -f "$BINARY.stamp.$$"
    die 'the build failed'
  fi
  mv "$BINARY.stamp.$$" "$BINARY.stamp"
}

# --- the database ---------------------------------------------------------------------------

# Whether .env gives variable $1 a value, as dotenvy reads it: the first line counts.
is_in_dotenv() {
  local line value pattern="^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*(.*)$"
  if [[ ! -e .env ]]; then return 1; fi
  if [[ ! -r .env ]]; then
    load ui
    die 'cannot read .env'
  fi
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line =~ $pattern ]]; then
      value=${BASH_REMATCH[2]%$'\r'}
      [[ -n $value && $value != '#'* && ! $value =~ ^(\"\"|\'\')[[:space:]]*(#.*)?$ ]]
      return
    fi
  done <.env
  return 1
}

is_set() { [[ -n ${!1:-} ]] || is_in_dotenv "$1"; }

wants_no_database() {
  local argument
  if [[ ${1:-} == help || ${1:-} == preview ]]; then return 0; fi
  for argument in "$@"; do
    case $argument in
    -h | --help | -V | --version) return 0 ;;
    esac
  done
  return 1
}

print_own_help() {
  cat <<'EOF'
./run.sh               build if needed, then run the job once
./run.sh COMMAND …     any command of the program, listed below
./run.sh db …          the private PostgreSQL that is used while DATABASE_URL is not set

EOF
}

use_local_database() {
  load ui packages postgres local_db
  local_start
  DATABASE_URL=$(local_url)
  export DATABASE_URL
}

migrate_quietly() {
  local output
  if ! output=$("$BINARY" migrate 2>&1); then
    printf '%s\n' "$output" >&2
    die 'the local database could not be migrated'
  fi
}

# One notification of each kind shows more than the newest few, which are often one event's.
print_notifications_after() {
  pg_psql "$LOCAL_DATABASE" -P border=0 -P footer=off <<SQL
SELECT "to", left(title, 72) AS notification
  FROM (SELECT DISTINCT ON (e.event_type)
               n.id, coalesce(p.full_name, p.email) AS "to", n.title
          FROM notifications n
          JOIN domain_events e ON e.id = n.event_id
          JOIN profiles p ON p.id = n.user_id
         WHERE n.id > $1
         ORDER BY e.event_type, n.id DESC) kinds
 ORDER BY id DESC
 LIMIT 8
SQL
}

ask_local_database() { pg_psql "$LOCAL_DATABASE" -At -c "$1"; }

newest_notification() { ask_local_database 'SELECT coalesce(max(id), 0) FROM notifications'; }

print_next_steps() {
  printf '\n%sNext:%s ./run.sh status · ./run.sh --help · ./run.sh db psql\n' "$UI_BOLD" "$UI_OFF" >&2
}

demonstrate() {
  local before status=0
  if [[ $(ask_local_database 'SELECT EXISTS (SELECT FROM domain_events)') == f ]]; then
    "$BINARY" seed --if-empty
  fi
  before=$(newest_notification)
  "$BINARY" run || status=$?
  if [[ $(newest_notification) != "$before" ]]; then
    printf '\n'
    print_notifications_after "$before"
  fi
  print_next_steps
  return "$status"
}

run_on_local_database() {
  use_local_database
  if [[ ${1:-} == migrate ]]; then exec "$BINARY" "$@"; fi
  migrate_quietly
  if (($# > 0)); then exec "$BINARY" "$@"; fi
  demonstrate
}

main() {
  if [[ ${1:-} == db ]]; then
    shift
    load ui packages postgres local_db
    if is_set DATABASE_URL; then warn 'DATABASE_URL is set: this manages the local database, which ./run.sh does not use now'; fi
    local_command "$@"
    return
  fi
  # An empty variable would hide the value in .env from the program.
  if [[ -z ${DATABASE_URL:-} ]]; then unset DATABASE_URL; fi
  find_binary
  if [[ ${1:-} == -h || ${1:-} == --help || ${1:-} == help ]]; then print_own_help; fi
  # With SUPABASE_URL alone the program explains where its connection string is.
  if is_set DATABASE_URL || is_set SUPABASE_URL || wants_no_database "$@"; then
    exec "$BINARY" "$@"
  fi
  run_on_local_database "$@"
}

main "$@"

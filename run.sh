#!/usr/bin/env bash
# Builds notify-fan-out when its sources changed, and runs it. Without DATABASE_URL it runs on
# a private PostgreSQL that it keeps in this clone. See ./run.sh --help.
#
# A copy of the binary alone needs none of this: DATABASE_URL=… notify-fan-out run
#
# FANOUT_BINARY=PATH runs another build of it; FANOUT_PG_BIN=DIR uses the PostgreSQL in DIR.
set -euo pipefail

CALLER_DIR=$PWD
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

locate_binary() {
  TARGET=${CARGO_TARGET_DIR:-target}
  if [[ -n ${FANOUT_BINARY:-} ]]; then
    BINARY=$FANOUT_BINARY
    if [[ $BINARY != /* ]]; then BINARY=$CALLER_DIR/$BINARY; fi
  elif [[ ! -f Cargo.toml ]]; then
    BINARY=$ROOT/notify-fan-out
  else
    BINARY=$TARGET/release/notify-fan-out
  fi
}

is_built_here() { [[ -z ${FANOUT_BINARY:-} && -f Cargo.toml ]]; }

# One look at the times of a few dozen files. The stamp stands for the binary, whose own time cargo
# leaves alone when nothing it compiles has changed.
is_stale() {
  local inputs=() input
  if ! is_built_here; then return 1; fi
  if [[ ! -x $BINARY || ! -f $BINARY.stamp ]]; then return 0; fi
  for input in Cargo.toml Cargo.lock build.rs src migrations seed .sqlx .cargo; do
    if [[ -e $input ]]; then inputs+=("$input"); fi
  done
  [[ -n $(find "${inputs[@]}" -newer "$BINARY.stamp" -print -quit) ]]
}

# What the build and the parts given need and is missing is said before the build begins.
build_if_stale() {
  local needed=("$@")
  load ui packages postgres requirements
  if is_stale; then needed=(rust compiler "$@"); fi
  if ((${#needed[@]} > ${#})) && [[ -x $BINARY ]] && ! has_rust; then
    warn "the sources are newer than the program, and Rust $(required_rust) or newer is not installed: running the old one"
    needed=("$@")
  fi
  if ((${#needed[@]} > 0)) && ! require "${needed[@]}"; then
    if [[ " ${MISSING[*]} " == *' server '* ]]; then
      printf 'Or set DATABASE_URL, in .env or the environment: then no PostgreSQL is needed here.\n' >&2
    fi
    exit 1
  fi
  if ((${#needed[@]} > ${#})); then build; fi
  if [[ ! -x $BINARY ]]; then die "there is no program at $BINARY: put it there, or run this in a full clone"; fi
}

build() {
  step 'building (the first time takes some minutes)'
  mkdir -p "$TARGET/release"
  # The stamp is as old as the start of the build, so that an edit during it counts.
  : >"$BINARY.stamp.$$"
  if ! cargo build --release --locked >&2; then
    rm -f "$BINARY.stamp.$$"
    die 'the build failed'
  fi
  mv "$BINARY.stamp.$$" "$BINARY.stamp"
}

# --- the installed program ------------------------------------------------------------------

# The scheduled jobs run a copy: it changes when somebody says so, and not with the sources.
update() {
  local installed=$ROOT/.local/bin/notify-fan-out status=0
  build_if_stale
  if [[ ! -f Cargo.toml ]]; then die 'there are no sources here to build from: run scripts/setup-vm.sh in a clone'; fi
  if is_set DATABASE_URL; then "$BINARY" migrate --check >/dev/null 2>&1 || status=$?; fi
  if ((status == 6)); then
    die 'the database lacks migrations of this version; apply them first: ./run.sh migrate'
  fi
  load local_db
  local_make_state_dir
  mkdir -p "${installed%/*}"
  cp "$BINARY" "$installed.new.$$"
  # The new program takes the name at once, also while the old one runs.
  mv -f "$installed.new.$$" "$installed"
  if ((EUID == 0)); then chown "$(owner_of "$ROOT")" "${installed%/*}" "$installed"; fi
  step "the scheduled jobs run $("$installed" --version), in .local/bin"
}

# --- the database ---------------------------------------------------------------------------

is_in_dotenv() {
  load ui
  if [[ -e .env && ! -r .env ]]; then die 'cannot read .env'; fi
  gives_value "$1" .env
}

is_set() { [[ -n ${!1:-} ]] || is_in_dotenv "$1"; }

wants_no_database() { [[ ${1:-} == preview ]]; }

asks_about_the_program() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help | -V | --version) return 0 ;; esac
  done
  return 1
}

# Before the first build the sources say what the program would.
tell_about_the_program() {
  if [[ ${1:-} == -h || ${1:-} == --help || ${1:-} == help ]]; then print_own_help; fi
  if [[ -x $BINARY ]]; then exec "$BINARY" "$@"; fi
  if ! is_built_here; then
    load ui
    die "there is no program at $BINARY: put it there, or run this in a full clone"
  fi
  case ${1:-} in
  -V | --version) sed -n 's/^version = "\(.*\)"/notify-fan-out \1/p' Cargo.toml ;;
  *)
    echo 'Commands:'
    print_commands
    printf '\nThe program is not built yet. Once it is: ./run.sh COMMAND --help\n'
    ;;
  esac
}

print_commands() {
  awk '/^enum Command/ { inside = 1; next }
    inside && /^}/ { exit }
    inside && /\/\/\// { sub(/^ *\/\/\/ */, ""); about = about (about == "" ? "" : " ") $0; next }
    inside && /^    [A-Z]/ {
      name = substr($1, 1, index($1 "(", "(") - 1)
      while (match(name, /[a-z][A-Z]/)) name = substr(name, 1, RSTART) "-" substr(name, RSTART + 1)
      printf "  %-13s %s\n", tolower(name), about
      about = ""
    }' src/cli/mod.rs
}

print_own_help() {
  cat <<'EOF'
./run.sh               build if needed, then run the job once
./run.sh COMMAND …     any command of the program, listed below
./run.sh build         build if the sources changed, and run nothing
./run.sh update        build, and replace the copy that the scheduled jobs run
./run.sh db …          the private PostgreSQL that is used while DATABASE_URL is not set

EOF
}

use_local_database() {
  local_start
  DATABASE_URL=$(local_url)
  export DATABASE_URL
}

migrate_quietly() {
  local output status=0
  output=$("$BINARY" migrate 2>&1) || status=$?
  if ((status != 0)); then
    printf '%s\n' "$output" >&2
    exit "$status"
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

# One of each kind is not all.
print_number_of_notifications_after() {
  ask_local_database "SELECT format('%s of %s notifications shown; all: ./run.sh db psql -c \"TABLE notifications\"',
    least(8, count(DISTINCT e.event_type)), count(*))
    FROM notifications n JOIN domain_events e ON e.id = n.event_id WHERE n.id > $1"
}

ask_local_database() { pg_psql "$LOCAL_DATABASE" -At -c "$1"; }

newest_notification() { ask_local_database 'SELECT coalesce(max(id), 0) FROM notifications'; }

print_next_steps() {
  printf '\n%sNext:%s ./run.sh status · ./run.sh --help · ./run.sh db psql\n' "$UI_BOLD" "$UI_OFF" >&2
}

demonstrate() {
  local before status=0
  if [[ $(ask_local_database 'SELECT EXISTS (SELECT FROM domain_events)') == f ]]; then
    step "seeding a small world and its events"
    "$BINARY" seed --if-empty >/dev/null
  fi
  before=$(newest_notification)
  "$BINARY" run || status=$?
  if [[ $(newest_notification) != "$before" ]]; then
    printf '\n'
    print_notifications_after "$before"
    print_number_of_notifications_after "$before"
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
    load ui packages postgres requirements local_db
    if is_set DATABASE_URL; then warn 'DATABASE_URL is set: this manages the local database, which ./run.sh does not use now'; fi
    local_command "$@"
    return
  fi
  # An empty variable would hide the value in .env from the program.
  if [[ -z ${DATABASE_URL:-} ]]; then unset DATABASE_URL; fi
  locate_binary
  if asks_about_the_program "$@" || [[ ${1:-} == help ]]; then
    tell_about_the_program "$@"
  elif [[ ${1:-} == build || ${1:-} == update ]]; then
    if (($# > 1)); then
      load ui
      usage_error "$1 takes no arguments: ${*:2}"
    fi
    if [[ $1 == update ]]; then update; else build_if_stale; fi
  # With SUPABASE_URL alone the program explains where its connection string is.
  elif is_set DATABASE_URL || is_set SUPABASE_URL || wants_no_database "$@"; then
    build_if_stale
    exec "$BINARY" "$@"
  else
    load ui packages postgres requirements local_db
    local_check
    build_if_stale server
    run_on_local_database "$@"
  fi
}

main "$@"

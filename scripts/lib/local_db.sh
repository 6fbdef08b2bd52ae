# shellcheck shell=bash
# The private PostgreSQL of this clone, for trying the job out without a database of one's own.
# Needs ui.sh, packages.sh, postgres.sh, requirements.sh and ROOT.

LOCAL_DATABASE=notify_fan_out
LOCAL_STATE=$ROOT/.local

owner_of() { find "$1" -prune -exec ls -ld {} \; | awk '{ print $3 }'; }

# --- one caller at a time -------------------------------------------------------------------

local_lock() {
  exec 9>"$LOCAL_STATE/lock"
  if have flock; then
    flock 9
  else
    local_lock_by_link
  fi
}

# macOS has no flock. The link names its holder, which tells a lock left behind from one in use.
local_lock_by_link() {
  local link=$LOCAL_STATE/lock.holder
  until ln -s "$$" "$link" 2>/dev/null; do
    if ! kill -0 "$(readlink "$link")" 2>/dev/null; then rm -f "$link"; fi
    sleep 0.2
  done
}

local_unlock() {
  exec 9>&-
  if ! have flock; then rm -f "$LOCAL_STATE/lock.holder"; fi
}

# --- where the cluster lives ----------------------------------------------------------------

local_make_state_dir() {
  local owner
  if [[ ! -d $LOCAL_STATE ]]; then mkdir -p "$LOCAL_STATE" 2>/dev/null || true; fi
  local_require_state_dir
  # Root in somebody's clone leaves nothing behind that the somebody cannot use.
  owner=$(owner_of "$ROOT")
  if ((EUID == 0)) && [[ $owner != root ]] && id "$owner" >/dev/null 2>&1; then
    touch "$LOCAL_STATE/lock"
    chown "$owner" "$LOCAL_STATE" "$LOCAL_STATE/lock"
  fi
}

local_require_state_dir() {
  if [[ ! -w $LOCAL_STATE ]]; then
    die "cannot write to $LOCAL_STATE; run as the owner of this clone, or set DATABASE_URL"
  fi
}

# As root: the clone's owner, so that both share one cluster; else an account made for servers.
local_choose_user() {
  local owner
  pg_use_unprivileged_user
  owner=$(owner_of "$ROOT")
  if ((EUID == 0)) && [[ $owner != root ]] && id "$owner" >/dev/null 2>&1; then PG_USER=$owner; fi
}

local_is_ours() { [[ -f $1/marker && -f $1/data/PG_VERSION ]]; }

# A marker that names another clone, which still points here, means that this clone is a copy.
local_belongs_to_another_clone() {
  local other
  other=$(cat "$1/marker" 2>/dev/null || true)
  [[ -n $other && $other != "$ROOT" && -f $other/.local/cluster &&
    $(<"$other/.local/cluster") == "$1" ]]
}

local_find_home() {
  local recorded=''
  PG_HOME=$LOCAL_STATE/postgres
  if [[ -r $LOCAL_STATE/cluster ]]; then recorded=$(<"$LOCAL_STATE/cluster"); fi
  if [[ -n $recorded ]] && ! local_belongs_to_another_clone "$recorded"; then PG_HOME=$recorded; fi
  if [[ -d $PG_HOME ]]; then local_adopt_home_owner; fi
}

# The server's user when the cluster was made may not be today's choice: the package's
# account `postgres` may have come since.
local_adopt_home_owner() {
  local owner
  owner=$(owner_of "$PG_HOME")
  if ((EUID == 0)); then
    if [[ $owner != root ]]; then PG_USER=$owner; fi
  elif [[ $owner != "$(id -un)" ]]; then
    die "the local database belongs to $owner: run as $owner or root, or set DATABASE_URL"
  fi
}

# The server's user may not be able to reach a clone below somebody's closed home.
local_make_home() {
  pg_make_private_dir "$PG_HOME"
  if ! pg_as_server test -w "$PG_HOME" 2>/dev/null; then
    rmdir "$PG_HOME" 2>/dev/null || true
    mkdir -p /var/lib/notify-fan-out
    PG_HOME=/var/lib/notify-fan-out/cluster-$(printf '%s' "$ROOT" | cksum | cut -d ' ' -f 1)
    pg_make_private_dir "$PG_HOME"
    pg_record "$LOCAL_STATE/cluster" "$PG_HOME"
  fi
}

# --- starting -------------------------------------------------------------------------------

local_find_server() {
  local major=''
  if local_is_ours "$PG_HOME"; then
    major=$(<"$PG_HOME/data/PG_VERSION")
    if pg_find_bin "$major"; then return 0; fi
    die "the local database was made by PostgreSQL $major, which is gone; install it again, or: ./run.sh db reset"
  fi
  require server || exit 1
}

local_create_database() {
  if [[ $(pg_psql postgres -At -c "SELECT 1 FROM pg_database WHERE datname = '$LOCAL_DATABASE'") != 1 ]]; then
    pg_psql postgres -c "CREATE DATABASE $LOCAL_DATABASE"
  fi
}

local_prepare() {
  PG_HOME=$LOCAL_STATE/postgres
  local_choose_user
  local_find_home
}

# What would keep it from starting is said before a build of minutes.
local_check() {
  local_make_state_dir
  local_prepare
  if local_is_ours "$PG_HOME"; then local_find_server; fi
}

local_start() {
  local_make_state_dir
  local_lock
  local_prepare
  local_find_server
  if ! local_is_ours "$PG_HOME"; then
    # The package brings the account `postgres`, so the choice is made after it.
    local_choose_user
    local_make_home
    pg_record "$PG_HOME/marker" "$ROOT"
    step "creating a private PostgreSQL $(pg_major_of "$PG_BIN") in ${PG_HOME#"$ROOT"/}"
    pg_create_cluster || exit 1
  elif [[ $(<"$PG_HOME/marker") != "$ROOT" ]]; then
    pg_record "$PG_HOME/marker" "$ROOT" # the clone was moved
  fi
  if ! pg_is_running; then step 'starting the private PostgreSQL'; fi
  pg_start || exit 1
  local_create_database
  local_unlock
}

local_url() { pg_url "$LOCAL_DATABASE"; }

# --- ./run.sh db … --------------------------------------------------------------------------

# Locks and finds the local database; says so where there is none.
local_open() {
  if [[ -d $LOCAL_STATE ]]; then
    local_require_state_dir
    local_lock
    local_prepare
    if [[ -e $PG_HOME ]]; then return 0; fi
  fi
  step 'there is no local database'
  return 1
}

local_stop() {
  local_open || return 0
  if local_is_ours "$PG_HOME" && pg_is_running; then
    local_find_server
    pg_stop fast
    step 'stopped'
  else
    step 'not running'
  fi
  local_unlock
}

local_status() {
  local_prepare
  if ! local_is_ours "$PG_HOME"; then
    echo 'no local database yet; ./run.sh makes one'
    return 3
  fi
  pg_locate_socket
  echo "data     $PG_HOME/data"
  echo "log      $PG_HOME/log"
  if pg_is_running; then
    echo "server   running, process $(pg_recorded_pid)${PG_USER:+ as $PG_USER}"
    echo "url      $(local_url)"
  else
    echo 'server   stopped'
    return 3
  fi
}

local_confirm_reset() {
  local answer=''
  if [[ ${1:-} == --yes ]]; then return 0; fi
  if [[ -n ${1:-} ]]; then usage_error "unknown option of db reset: $1"; fi
  if [[ ! -t 0 ]]; then usage_error 'db reset deletes the local database: add --yes'; fi
  printf 'Delete the local database in %s? [y/N] ' "$PG_HOME" >&2
  read -r answer
  [[ $answer == [yY]* ]] || die 'nothing was deleted'
}

local_reset() {
  local_open || return 0
  # A half-made folder of ours has a marker and no cluster yet.
  if [[ ! -f $PG_HOME/marker ]]; then
    die "$PG_HOME was not made by this script; it is left alone"
  fi
  local_confirm_reset "$@"
  if local_is_ours "$PG_HOME" && pg_is_running; then
    local_find_server
    pg_stop immediate
  fi
  pg_locate_socket
  if [[ -n $PG_SOCKET && $PG_SOCKET != "$PG_HOME/socket" ]]; then rm -rf -- "$PG_SOCKET"; fi
  rm -rf -- "$PG_HOME"
  rm -f "$LOCAL_STATE/cluster"
  local_unlock
  step 'deleted; ./run.sh makes a new one'
}

local_psql() {
  local_start
  exec "$PG_BIN/psql" -d "$(local_url)" "$@"
}

local_help() {
  cat <<'EOF'
The private PostgreSQL of this clone, used while DATABASE_URL is not set.

Usage: ./run.sh db <command>

  start          start it, and create it when there is none
  stop           stop it
  status         where it is and whether it runs (exit code 3: it does not)
  psql [ARG…]    open psql in it, or run psql with arguments: ./run.sh db psql -c 'TABLE notifications'
  url            print its connection URL, and start it
  reset [--yes]  delete it
EOF
}

local_command() {
  local verb=${1:-help}
  if (($# > 0)); then shift; fi
  case $verb in
  start)
    local_start
    local_status
    ;;
  stop) local_stop ;;
  status) local_status ;;
  psql) local_psql "$@" ;;
  url)
    local_start
    printf '%s\n' "$(local_url)"
    ;;
  reset) local_reset "$@" ;;
  help | -h | --help) local_help ;;
  *)
    local_help >&2
    usage_error "unknown command: db $verb"
    ;;
  esac
}

# shellcheck shell=bash
# A private PostgreSQL cluster in one folder, reached by a Unix socket and by nobody else.
# Needs ui.sh and packages.sh. The caller sets PG_HOME; PG_BIN and PG_USER are found here.
#
#   $PG_HOME/data     the cluster
#   $PG_HOME/log      the server's log
#   $PG_HOME/socket   the socket, unless the path is too long for one
#   $PG_HOME/marker   says that these scripts made the folder, and for which clone

PG_PORT=5432 # only part of the socket's name: the server listens on no network
PG_SUPERUSER=postgres
PG_BIN=''
PG_USER='' # empty: the server runs as the caller
PG_SOCKET=''

# --- the server's programs ------------------------------------------------------------------

pg_candidate_dirs() {
  if [[ -n ${FANOUT_PG_BIN:-} ]]; then
    printf '%s\n' "$FANOUT_PG_BIN"
    return
  fi
  # Newest first, wherever the usual packagers put versions side by side.
  printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin | sort -rV
  if have pg_config; then pg_config --bindir; fi
  if have postgres; then dirname "$(command -v postgres)"; fi
}

pg_major_of() {
  "$1/postgres" --version 2>/dev/null | awk '{ split($3, v, /[^0-9]/); print v[1] }'
}

# pg_find_bin MAJOR|any: an existing cluster can only be served by its own major version.
pg_find_bin() {
  local wanted=$1 dir
  while IFS= read -r dir; do
    if [[ -x $dir/postgres && -x $dir/initdb && -x $dir/pg_ctl ]] &&
      [[ $wanted == any || $(pg_major_of "$dir") == "$wanted" ]]; then
      PG_BIN=$dir
      return 0
    fi
  done < <(pg_candidate_dirs)
  return 1
}

# --- the account that runs the server -------------------------------------------------------

# PostgreSQL refuses to run as root.
pg_unprivileged_user() {
  if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

pg_use_unprivileged_user() {
  PG_USER=''
  if ((EUID == 0)); then PG_USER=$(pg_unprivileged_user); fi
}

pg_as_server() {
  if [[ -z $PG_USER ]]; then
    (cd / && LC_ALL=C "$@")
  elif have setpriv; then
    (cd / && LC_ALL=C HOME=/ setpriv --reuid="$PG_USER" --regid="$(id -g "$PG_USER")" --init-groups -- "$@")
  else
    (cd / && LC_ALL=C HOME=/ runuser -u "$PG_USER" -- "$@")
  fi
}

pg_make_private_dir() {
  mkdir -p "$1"
  if [[ -n $PG_USER ]]; then chown "$PG_USER:$(id -g "$PG_USER")" "$1"; fi
  chmod 0700 "$1"
}

# Replaced, not overwritten: the file may be root's in a folder of the server's user.
pg_record() {
  rm -f "$1"
  printf '%s\n' "$2" >"$1"
}

# --- the socket -----------------------------------------------------------------------------

# The kernel's limit is 107 bytes on Linux and 103 on macOS, name of the socket included.
pg_path_fits_socket() {
  local LC_ALL=C path="$1/.s.PGSQL.$PG_PORT.lock"
  ((${#path} <= 100))
}

pg_is_safe_socket_dir() {
  local owner=${PG_USER:-$(id -un)}
  [[ -d $1 && ! -L $1 && -n $(find "$1" -prune -user "$owner" -perm 700) ]]
}

# A predictable name in /tmp could be taken by another user, so one is drawn and remembered.
pg_short_socket_dir() {
  local record=$PG_HOME/socket.path dir=''
  if [[ -r $record ]]; then dir=$(<"$record"); fi
  if [[ -z $dir ]] || ! pg_is_safe_socket_dir "$dir"; then
    dir=$(mktemp -d /tmp/notify-fan-out.XXXXXX)
    pg_make_private_dir "$dir"
    pg_record "$record" "$dir"
  fi
  PG_SOCKET=$dir
}

pg_prepare_socket_dir() {
  if pg_path_fits_socket "$PG_HOME/socket"; then
    PG_SOCKET=$PG_HOME/socket
    pg_make_private_dir "$PG_SOCKET"
  else
    pg_short_socket_dir
  fi
}

pg_locate_socket() {
  if pg_path_fits_socket "$PG_HOME/socket"; then
    PG_SOCKET=$PG_HOME/socket
  elif [[ -r $PG_HOME/socket.path ]]; then
    PG_SOCKET=$(<"$PG_HOME/socket.path")
  else
    PG_SOCKET=''
  fi
}

pg_percent_encode() {
  local LC_ALL=C text=$1 out='' char i
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    case $char in
    [a-zA-Z0-9./_-]) out+=$char ;;
    *) out+=%$(printf '%s' "$char" | od -An -tx1 | tr -d ' \n') ;;
    esac
  done
  printf '%s' "$out"
}

# pg_url DATABASE. The port is spelled out because PGPORT would otherwise change it.
pg_url() {
  printf 'postgres://%s@localhost:%s/%s?host=%s' \
    "$PG_SUPERUSER" "$PG_PORT" "$1" "$(pg_percent_encode "$PG_SOCKET")"
}

pg_psql() {
  local database=$1
  shift
  "$PG_BIN/psql" -X -q -P pager=off -v ON_ERROR_STOP=1 -d "$(pg_url "$database")" "$@"
}

# --- the cluster ----------------------------------------------------------------------------

pg_utf8_locale() {
  if locale -a 2>/dev/null | grep -Eqi '^c\.utf-?8$'; then echo C.UTF-8; else echo C; fi
}

# pg_create_cluster [CONFIGURATION LINE…]
pg_create_cluster() {
  local log=$PG_HOME/log line
  # What an interrupted attempt left behind would be in initdb's way.
  pg_as_server rm -rf "$PG_HOME/data" "$PG_HOME/data.new"
  if ! pg_as_server "$PG_BIN/initdb" -D "$PG_HOME/data.new" -U "$PG_SUPERUSER" -E UTF8 \
    --locale="$(pg_utf8_locale)" --auth-local=trust --auth-host=reject >"$log.initdb" 2>&1; then
    cat "$log.initdb" >&2
    pg_as_server rm -rf "$PG_HOME/data.new"
    fail 'initdb failed'
    return 1
  fi
  rm -f "$log.initdb"
  for line in "listen_addresses = ''" "unix_socket_permissions = 0700" "timezone = 'UTC'" \
    "log_timezone = 'UTC'" "cluster_name = 'notify-fan-out'" "$@"; do
    printf '%s\n' "$line"
  done >>"$PG_HOME/data.new/postgresql.conf"
  pg_as_server mv "$PG_HOME/data.new" "$PG_HOME/data"
}

pg_recorded_pid() {
  local pid=''
  if [[ -f $PG_HOME/data/postmaster.pid ]]; then
    IFS= read -r pid <"$PG_HOME/data/postmaster.pid" || true
  fi
  if [[ $pid =~ ^[0-9]+$ ]]; then printf '%s' "$pid"; fi
}

# Whether process $1 is this cluster's server. A server's working directory is its data directory,
# which stays true when the folder is moved while it runs.
pg_pid_is_ours() {
  local pid=$1 data
  data=$(cd "$PG_HOME/data" && pwd -P)
  if [[ -d /proc/self ]]; then
    [[ $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$data" ]]
  else
    [[ $(ps -p "$pid" -o args= 2>/dev/null) == *"$PG_HOME/data"* ]]
  fi
}

pg_is_running() {
  local pid
  pid=$(pg_recorded_pid)
  [[ -n $pid ]] && pg_pid_is_ours "$pid"
}

pg_pid_is_alive() {
  if [[ -d /proc/self ]]; then [[ -d /proc/$1 ]]; else ps -p "$1" >/dev/null 2>&1; fi
}

# After a crash or a reboot the recorded numbers may belong to another process of the same user,
# and the server would refuse to start for ever. A dead one's file in the data directory is left
# to the server, which looks in it for the dead one's children.
pg_forget_stale_pid() {
  local pid
  pid=$(pg_recorded_pid)
  if [[ -n $pid ]] && pg_pid_is_alive "$pid"; then rm -f "$PG_HOME/data/postmaster.pid"; fi
  rm -f "$PG_SOCKET/.s.PGSQL.$PG_PORT" "$PG_SOCKET/.s.PGSQL.$PG_PORT.lock"
}

# A server whose folder was moved answers, but cannot write a checkpoint any more.
pg_was_moved() {
  local recorded
  recorded=$(sed -n 2p "$PG_HOME/data/postmaster.pid")
  [[ ! $recorded -ef $PG_HOME/data ]]
}

# The socket's folder may be gone (cleaned /tmp) while the server lives; only a restart helps then.
pg_has_socket() { [[ -n $PG_SOCKET && -S $PG_SOCKET/.s.PGSQL.$PG_PORT ]]; }

# It may still be recovering from a crash, when whoever started it did not stay to wait.
pg_wait_until_ready() {
  local attempt
  for ((attempt = 0; attempt < 300; attempt++)); do
    if "$PG_BIN/pg_isready" -q -U "$PG_SUPERUSER" -d postgres -h "$PG_SOCKET" -p "$PG_PORT"; then return 0; fi
    sleep 0.2
  done
  return 1
}

pg_start() {
  local attempt
  pg_locate_socket
  if pg_is_running; then
    if pg_was_moved; then
      pg_stop immediate
    elif pg_has_socket && pg_wait_until_ready; then
      return 0
    else
      pg_stop fast
    fi
  fi
  pg_prepare_socket_dir
  pg_forget_stale_pid
  for attempt in 1 2 3 4 5; do
    # Descriptor 9 is the caller's lock, which the server must not inherit.
    if pg_as_server "$PG_BIN/pg_ctl" start -w -t 60 -s -D "$PG_HOME/data" -l "$PG_HOME/log" \
      -o "-k '$(pg_escape_option "$PG_SOCKET")' -p $PG_PORT" >/dev/null 2>&1 9>&-; then
      return 0
    fi
    # Processes of a killed server hold its shared memory for a moment.
    if ! tail -n 5 "$PG_HOME/log" 2>/dev/null | grep -q 'shared memory block'; then break; fi
    sleep "$attempt"
  done
  tail -n 15 "$PG_HOME/log" >&2 || true
  fail "PostgreSQL did not start; its log is $PG_HOME/log"
  return 1
}

pg_escape_option() { printf '%s' "$1" | sed "s/'/'\\\\''/g"; }

# pg_stop fast|immediate
pg_stop() {
  if pg_is_running; then
    pg_as_server "$PG_BIN/pg_ctl" stop -w -t 60 -s -D "$PG_HOME/data" -m "$1"
  fi
}

#!/usr/bin/env bash
# Runs the jobs run and deliver every minute and prune once a day: by crontab lines with a log file
# that is rotated, or by systemd timers. Installing again replaces what was installed for this clone;
# nothing else is touched.
#
# Usage: scripts/install-cron.sh [install|remove] [OPTION…]
#
#   --systemd     systemd services and timers instead of crontab lines (needs root)
#   --user USER   run as USER, and in USER's crontab (needs root; default: the caller)
#   --log FILE    log file (default: /var/log/notify-fan-out/notify-fan-out.log as root,
#                 else .local/log/notify-fan-out.log in this clone)
#   --print       print what would be installed, and change nothing
#   --dry-run     say what would be done, and change nothing
#   --help
#
# The jobs need DATABASE_URL in this clone's .env (a timer also reads /etc/notify-fan-out.env). They
# run a copy of the program in .local/bin, which ./run.sh update replaces: never what a git pull left.
# prune deletes what was done 90 days ago: NOTIFY_PRUNE_OLDER_THAN=30d is another age, off none.
set -euo pipefail

CALLER_DIR=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh
source scripts/lib/packages.sh

ACTION=install MECHANISM=cron JOB_USER='' LOG='' PRINT='' DRY_RUN=''
BEGIN="# BEGIN notify-fan-out $ROOT"
END="# END notify-fan-out $ROOT"
UNIT_DIR=/etc/systemd/system
JOBS=(run deliver prune)
LOGROTATE_DIR=/etc/logrotate.d

parse_arguments() {
  while (($# > 0)); do
    case $1 in
    install | remove) ACTION=$1 ;;
    --systemd) MECHANISM=systemd ;;
    --user | --log)
      if [[ -z ${2:-} ]]; then usage_error "$1 needs a value"; fi
      if [[ $1 == --user ]]; then JOB_USER=$2; else LOG=$2; fi
      shift
      ;;
    --print) PRINT=yes ;;
    --dry-run) DRY_RUN=yes ;;
    *) usage_error "unknown argument: $1" ;;
    esac
    shift
  done
}

settle_defaults() {
  local me
  me=$(id -un)
  JOB_USER=${JOB_USER:-$me}
  if ! id "$JOB_USER" >/dev/null 2>&1; then usage_error "there is no user $JOB_USER"; fi
  if [[ $JOB_USER != "$me" ]] && ((EUID != 0)); then usage_error '--user needs root'; fi
  if [[ $ROOT == *$'\n'* || $LOG == *$'\n'* ]]; then die 'a path with a line break fits no crontab'; fi
  if [[ -z $LOG ]]; then
    if ((EUID == 0)); then LOG=/var/log/notify-fan-out/notify-fan-out.log; else LOG=$ROOT/.local/log/notify-fan-out.log; fi
  fi
  LOG=$(path_of_caller "$LOG")
}

# Runs a command, or only says so.
perform() {
  if [[ -n $DRY_RUN ]]; then
    printf 'would run:' >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
  else
    "$@"
  fi
}

# Writes stdin to file $1, or only says so.
write_file() {
  if [[ -n $DRY_RUN ]]; then
    printf 'would write %s:\n' "$1" >&2
    sed 's/^/  /' >&2
  else
    mkdir -p "$(dirname "$1")"
    cat >"$1"
    chmod 0644 "$1"
  fi
}

# --- the program ----------------------------------------------------------------------------

is_clone() { [[ -f $ROOT/Cargo.toml ]]; }

installed_binary() {
  if is_clone; then printf '%s/.local/bin/notify-fan-out' "$ROOT"; else printf '%s/notify-fan-out' "$ROOT"; fi
}

install_binary() {
  if is_clone; then perform "$ROOT/run.sh" update; fi
  if [[ -n $DRY_RUN ]]; then return 0; fi
  if ((EUID == 0)) && have runuser && ! runuser -u "$JOB_USER" -- test -x "$(installed_binary)"; then
    die "$JOB_USER cannot reach $(installed_binary); use another --user, or scripts/setup-vm.sh"
  fi
}

# --- cron -----------------------------------------------------------------------------------

checksum() { printf '%s' "$1" | cksum | cut -d ' ' -f 1; }

# For /bin/sh within a crontab, where a bare % ends the command.
quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g; s/%/\\\\%/g")"; }

# Beside the log and not in the clone, which the job's user may be unable to write to.
lock_file() { printf '%s/%s-%s.lock' "$(dirname "$LOG")" "$(checksum "$ROOT")" "$1"; }

# Named for the log: logrotate refuses a log that two files mention.
logrotate_file() {
  if ((EUID == 0)); then
    printf '%s/notify-fan-out-%s' "$LOGROTATE_DIR" "$(checksum "$LOG")"
  else
    printf '%s/.local/logrotate.conf' "$ROOT"
  fi
}

# What overlaps would be safe, but useless on one machine; flock -n lets the second one go.
crontab_block() {
  local job when lock
  printf '%s\n' "$BEGIN"
  for job in "${JOBS[@]}"; do
    when='* * * * *' lock=''
    if [[ $job == prune ]]; then when='17 4 * * *'; fi
    if have flock; then lock="$(command -v flock) -n $(quote "$(lock_file "$job")") "; fi
    # .env is read from the working directory.
    printf '%s cd %s && %s%s %s >> %s 2>&1\n' "$when" "$(quote "$ROOT")" "$lock" \
      "$(quote "$(installed_binary)")" "$job" "$(quote "$LOG")"
  done
  if ((EUID != 0)); then
    printf "7 3 * * * PATH=\$PATH:/usr/sbin:/sbin logrotate --state %s %s\n" \
      "$(quote "$ROOT/.local/logrotate.state")" "$(quote "$(logrotate_file)")"
  fi
  printf '%s\n' "$END"
}

# Every run opens the log anew, so it can be renamed under a running job.
logrotate_snippet() {
  cat <<EOF
# Written by scripts/install-cron.sh of $ROOT
"$LOG" {
    weekly
    maxsize 50M
    rotate 8
    compress
    delaycompress
    missingok
    notifempty
EOF
  if ((EUID == 0)); then
    # A folder that another user writes to is only rotated as that user.
    printf '    su %s %s\n    create 0640 %s %s\n' \
      "$JOB_USER" "$(id -gn "$JOB_USER")" "$JOB_USER" "$(id -gn "$JOB_USER")"
  fi
  printf '}\n'
}

require_crontab() {
  if have crontab || [[ -n $DRY_RUN ]]; then return 0; fi
  die 'crontab is not installed. Install it (Debian, Ubuntu: apt-get install cron; Fedora, Arch: cronie), or use --systemd'
}

crontab_of_user() {
  if [[ $JOB_USER == "$(id -un)" ]]; then crontab "$@"; else crontab -u "$JOB_USER" "$@"; fi
}

read_crontab() {
  if have crontab; then crontab_of_user -l 2>/dev/null || true; fi
}

without_our_block() {
  BLOCK_BEGIN=$BEGIN BLOCK_END=$END awk '
    $0 == ENVIRON["BLOCK_BEGIN"] { ours = 1 }
    !ours { print }
    $0 == ENVIRON["BLOCK_END"] { ours = 0 }'
}

# A block without its end would take the rest of the table with it.
check_markers() {
  if [[ $(grep -cFx "$BEGIN" <<<"$1") != $(grep -cFx "$END" <<<"$1") ]]; then
    die "the crontab of $JOB_USER has a damaged block; fix it manually (crontab -e): $BEGIN"
  fi
}

replace_crontab() {
  local table=$1
  if [[ -n $DRY_RUN ]]; then
    printf 'would make the crontab of %s:\n' "$JOB_USER" >&2
    printf '%s\n' "$table" | sed 's/^/  /' >&2
  elif [[ -z $table ]]; then
    crontab_of_user -r 2>/dev/null || true
  else
    crontab_of_user - <<<"$table"
  fi
}

# A variable of this shell reaches neither cron nor systemd.
warn_without_database() {
  local file
  for file in .env "$@"; do
    if gives_value DATABASE_URL "$file"; then return 0; fi
  done
  warn "DATABASE_URL is not in ${ROOT}/.env${1:+ or $1}: put it there"
}

prepare_log_folder() {
  local folder
  folder=$(dirname "$LOG")
  perform mkdir -p "$folder"
  if ((EUID == 0)) && [[ $folder == /var/log/notify-fan-out ]]; then
    # Recursively: it may hold the log of the user of an earlier installation.
    perform chown -R "$JOB_USER:$(id -gn "$JOB_USER")" "$folder"
    perform chmod 0750 "$folder"
  fi
}

install_logrotate() {
  logrotate_snippet | write_file "$(logrotate_file)"
  if ! PATH=$PATH:/usr/sbin:/sbin have logrotate; then
    warn 'logrotate is not installed: the log grows until it is (package logrotate)'
  fi
}

install_cron() {
  local table
  require_crontab
  table=$(read_crontab)
  check_markers "$table"
  warn_without_database
  install_binary
  prepare_log_folder
  install_logrotate
  table=$(without_our_block <<<"$table")
  replace_crontab "${table:+$table$'\n'}$(crontab_block)"
  if [[ -n $DRY_RUN ]]; then return 0; fi
  step "run and deliver start every minute and prune once a day, as $JOB_USER; their log is $LOG"
  if ((EUID != 0)); then step "the log is rotated by the last line of the block, with $(logrotate_file)"; fi
}

remove_cron() {
  local table
  require_crontab
  table=$(read_crontab)
  check_markers "$table"
  if grep -qFx "$BEGIN" <<<"$table"; then
    replace_crontab "$(without_our_block <<<"$table")"
    if [[ -z $DRY_RUN ]]; then step "removed from the crontab of $JOB_USER"; fi
  else
    step "the crontab of $JOB_USER has no block for this clone"
  fi
  perform rm -f "$(logrotate_file)"
}

# --- systemd --------------------------------------------------------------------------------

# The name of the units of job $1.
unit_name() {
  case $1 in
  run) printf 'notify-fan-out' ;;
  *) printf 'notify-%s' "$1" ;;
  esac
}

# systemd reads % as the start of a specifier, sed & and \ as its own.
service_text() {
  local root binary timeout=15min
  root=$(printf '%s' "${ROOT//%/%%}" | sed 's/[&\|]/\\&/g')
  binary=$(printf '%s' "$(installed_binary)" | sed 's/%/%%/g; s/[&\|]/\\&/g')
  # The first prune of a long history takes its time; what it deleted until then stays deleted.
  if [[ $1 == prune ]]; then timeout=6h; fi
  sed -e '1,3d' -e "s|@ROOT@|$root|g" -e "s|@BINARY@|$binary|g" -e "s|@USER@|$JOB_USER|g" \
    -e "s|@JOB@|$1|g" -e "s|@TIMEOUT@|$timeout|g" scripts/systemd/notify-fan-out.service
}

timer_text() {
  local when=minutely
  if [[ $1 == prune ]]; then when='*-*-* 04:17:00'; fi
  sed -e '1d' -e "s|@JOB@|$1|g" -e "s|@WHEN@|$when|g" scripts/systemd/notify-fan-out.timer
}

check_unit_paths() {
  if [[ $ROOT == *[[:space:]\"\']* ]]; then die "systemd units need a path without spaces and quotes: $ROOT"; fi
}

require_systemd() {
  if [[ -n $DRY_RUN ]]; then return 0; fi
  if ((EUID != 0)); then die '--systemd needs root'; fi
  if [[ ! -d /run/systemd/system ]]; then die 'systemd does not run this machine; use cron'; fi
}

install_systemd() {
  require_systemd
  check_unit_paths
  warn_without_database /etc/notify-fan-out.env
  install_binary
  local job
  for job in "${JOBS[@]}"; do
    service_text "$job" | write_file "$UNIT_DIR/$(unit_name "$job").service"
    timer_text "$job" | write_file "$UNIT_DIR/$(unit_name "$job").timer"
  done
  perform systemctl daemon-reload
  for job in "${JOBS[@]}"; do perform systemctl enable --now "$(unit_name "$job").timer"; done
  if [[ -n $DRY_RUN ]]; then return 0; fi
  step "run and deliver start every minute and prune once a day, as $JOB_USER; their logs: journalctl -u notify-fan-out -u notify-deliver -u notify-prune"
}

remove_systemd() {
  require_systemd
  local job name found=''
  for job in "${JOBS[@]}"; do
    name=$(unit_name "$job")
    if [[ ! -e $UNIT_DIR/$name.timer ]]; then continue; fi
    found=yes
    perform systemctl disable --now "$name.timer"
    perform rm -f "$UNIT_DIR/$name.timer" "$UNIT_DIR/$name.service"
  done
  if [[ -n $found ]]; then
    perform systemctl daemon-reload
    step 'removed the services and their timers'
  else
    step 'no timer is installed'
  fi
}

# --------------------------------------------------------------------------------------------

print_plan() {
  if [[ $MECHANISM == systemd ]]; then
    local job
    for job in "${JOBS[@]}"; do
      printf '# %s\n' "$UNIT_DIR/$(unit_name "$job").service"
      service_text "$job"
      printf '\n# %s\n' "$UNIT_DIR/$(unit_name "$job").timer"
      timer_text "$job"
      printf '\n'
    done
  else
    printf '# crontab of %s\n' "$JOB_USER"
    crontab_block
    printf '\n# %s\n' "$(logrotate_file)"
    logrotate_snippet
  fi
}

main() {
  help_if_asked scripts/install-cron.sh "$@"
  parse_arguments "$@"
  settle_defaults
  if [[ -n $PRINT ]]; then
    print_plan
  else
    "${ACTION}_$MECHANISM"
  fi
}

main "$@"

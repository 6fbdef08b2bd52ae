#!/usr/bin/env bash
# Runs the jobs run and deliver every minute and prune once a day: by crontab lines with a log file
# that is rotated, or by systemd timers; or runs the daemon (notify-fan-out serve) in place of run and
# deliver. Installing again replaces what was installed for this clone, installing the timers removes
# its daemon, and the other way round; nothing else is touched.
#
# Usage: scripts/install-cron.sh [install|remove] [OPTION…]
#
#   --systemd     systemd services and timers instead of crontab lines (needs root)
#   --daemon      a systemd service of the daemon, and a timer of prune (needs root)
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
#
# FANOUT_UNIT_DIR=DIR is another folder for the units.
set -euo pipefail

CALLER_DIR=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh
source scripts/lib/packages.sh

ACTION=install MECHANISM=cron JOB_USER='' LOG='' PRINT='' DRY_RUN=''
BEGIN="# BEGIN notify-fan-out $ROOT"
END="# END notify-fan-out $ROOT"
UNIT_DIR=${FANOUT_UNIT_DIR:-/etc/systemd/system}
JOBS=(run deliver prune)
DAEMON=notify-fan-out-daemon
LOGROTATE_DIR=/etc/logrotate.d

parse_arguments() {
  while (($# > 0)); do
    case $1 in
    install | remove) ACTION=$1 ;;
    --systemd | --daemon) choose "${1#--}" ;;
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

choose() {
  if [[ $MECHANISM != cron && $MECHANISM != "$1" ]]; then usage_error '--systemd and --daemon exclude each other'; fi
  MECHANISM=$1
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
  if is_unit_of_clone "$DAEMON"; then
    warn "the daemon of this clone stays installed and shares the work; to remove it: sudo scripts/install-cron.sh remove --daemon"
  fi
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

# Fills in what all services have in common. systemd reads % as the start of a specifier, sed & and \
# as its own.
fill_in() {
  local root binary
  root=$(printf '%s' "${ROOT//%/%%}" | sed 's/[&\|]/\\&/g')
  binary=$(printf '%s' "$(installed_binary)" | sed 's/%/%%/g; s/[&\|]/\\&/g')
  sed -e "s|@ROOT@|$root|g" -e "s|@BINARY@|$binary|g" -e "s|@USER@|$JOB_USER|g"
}

service_text() {
  local timeout=15min
  # The first prune of a long history takes its time; what it deleted until then stays deleted.
  if [[ $1 == prune ]]; then timeout=6h; fi
  sed -e '1,3d' -e "s|@JOB@|$1|g" -e "s|@TIMEOUT@|$timeout|g" scripts/systemd/notify-fan-out.service | fill_in
}

daemon_text() { sed '1d' "scripts/systemd/$DAEMON.service" | fill_in; }

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
  if ((EUID != 0)); then die "--$MECHANISM needs root"; fi
  if [[ ! -d /run/systemd/system ]]; then die 'systemd does not run this machine; use cron'; fi
}

write_job() {
  service_text "$1" | write_file "$UNIT_DIR/$(unit_name "$1").service"
  timer_text "$1" | write_file "$UNIT_DIR/$(unit_name "$1").timer"
}

# The names of the units say nothing about whose they are.
is_unit_of_clone() {
  [[ -e $UNIT_DIR/$1.service ]] && grep -qFx "WorkingDirectory=${ROOT//%/%%}" "$UNIT_DIR/$1.service"
}

# Removes the timers of jobs of this clone, and says so.
take_over_from_timers() {
  local job name
  for job in "$@"; do
    name=$(unit_name "$job")
    if is_unit_of_clone "$name"; then
      perform systemctl disable --now "$name.timer"
      perform rm -f "$UNIT_DIR/$name.timer" "$UNIT_DIR/$name.service"
      announce "removed $name.timer: the daemon does the work of $job"
    elif [[ -e $UNIT_DIR/$name.timer ]]; then
      warn "$name.timer belongs to another clone and stays; on the same database it shares the work"
    fi
  done
}

# Removes the daemon of this clone, and says so.
take_over_from_daemon() {
  if is_unit_of_clone "$DAEMON"; then
    perform systemctl disable --now "$DAEMON.service"
    perform rm -f "$UNIT_DIR/$DAEMON.service"
    perform systemctl daemon-reload
    announce "removed $DAEMON.service: the timers do its work"
  elif [[ -e $UNIT_DIR/$DAEMON.service ]]; then
    warn "$DAEMON.service belongs to another clone and stays; on the same database it shares the work"
  fi
}

# In a dry run the commands are shown, and this says what they are for.
announce() { step "${DRY_RUN:+dry run: }$1"; }

# Whose crontabs may start jobs of this clone: root reads all.
users_with_crontab() {
  local file
  {
    printf '%s\n' "$JOB_USER" "$(id -un)"
    for file in /var/spool/cron/crontabs/* /var/spool/cron/*; do
      if [[ -f $file ]]; then basename "$file"; fi
    done
  } | sort -u
}

# Lines that start run or deliver of this clone.
our_lines() {
  OUR_ROOT=$ROOT awk '
    /^[ \t]*#/ { next }
    {
      at = index($0, ENVIRON["OUR_ROOT"])
      after = substr($0, at + length(ENVIRON["OUR_ROOT"]), 1)
      if (at > 0 && after !~ /[A-Za-z0-9_.-]/ && / (run|deliver)( |$)/) print
    }'
}

# Removes this clone's blocks from crontabs. Lines that others wrote are only named.
take_over_from_cron() {
  local caller=$JOB_USER table file line
  while read -r JOB_USER; do
    table=$(read_crontab)
    if grep -qFx "$BEGIN" <<<"$table"; then
      if [[ $(grep -cFx "$BEGIN" <<<"$table") != $(grep -cFx "$END" <<<"$table") ]]; then
        warn "the crontab of $JOB_USER has a damaged block, which stays; remove it manually (crontab -e): $BEGIN"
        continue
      fi
      table=$(without_our_block <<<"$table")
      replace_crontab "$table"
      announce "removed the lines of this clone from the crontab of $JOB_USER"
    fi
    while read -r line; do
      if [[ -n $line ]]; then
        warn "a line in the crontab of $JOB_USER stays and shares the work; remove it manually (crontab -e): $line"
      fi
    done < <(our_lines <<<"$table")
  done < <(users_with_crontab)
  JOB_USER=$caller
  for file in /etc/crontab /etc/cron.d/*; do
    if [[ ! -r $file || ! -f $file ]]; then continue; fi
    while read -r line; do
      warn "a line in $file stays and shares the work; remove it manually: $line"
    done < <(our_lines <"$file")
  done
}

install_systemd() {
  require_systemd
  check_unit_paths
  warn_without_database /etc/notify-fan-out.env
  install_binary
  local job
  for job in "${JOBS[@]}"; do write_job "$job"; done
  perform systemctl daemon-reload
  for job in "${JOBS[@]}"; do perform systemctl enable --now "$(unit_name "$job").timer"; done
  take_over_from_daemon
  if [[ -n $DRY_RUN ]]; then return 0; fi
  step "run and deliver start every minute and prune once a day, as $JOB_USER; their logs: journalctl -u notify-fan-out -u notify-deliver -u notify-prune"
}

# The timers go once the daemon works: until then both share the work.
install_daemon() {
  require_systemd
  check_unit_paths
  warn_without_database /etc/notify-fan-out.env
  install_binary
  daemon_text | write_file "$UNIT_DIR/$DAEMON.service"
  write_job prune
  perform systemctl daemon-reload
  perform systemctl enable "$DAEMON.service"
  if ! perform systemctl restart "$DAEMON.service"; then
    die "$DAEMON.service does not start (journalctl -u $DAEMON); timers and crontab lines are as they were"
  fi
  perform systemctl enable --now "$(unit_name prune).timer"
  take_over_from_timers run deliver
  take_over_from_cron
  perform systemctl daemon-reload
  if [[ -n $DRY_RUN ]]; then return 0; fi
  step "the daemon runs, and prune once a day, as $JOB_USER; their logs: journalctl -u $DAEMON -u notify-prune"
}

remove_systemd() {
  require_systemd
  remove_timers "${JOBS[@]}"
}

remove_timers() {
  local job name found=''
  for job in "$@"; do
    name=$(unit_name "$job")
    if [[ ! -e $UNIT_DIR/$name.timer ]]; then continue; fi
    found=yes
    perform systemctl disable --now "$name.timer"
    perform rm -f "$UNIT_DIR/$name.timer" "$UNIT_DIR/$name.service"
  done
  if [[ -n $found ]]; then
    perform systemctl daemon-reload
    announce 'removed the services and their timers'
  else
    step 'no timer is installed'
  fi
}

remove_daemon() {
  require_systemd
  if [[ ! -e $UNIT_DIR/$DAEMON.service ]]; then
    step 'no daemon is installed'
    return 0
  fi
  perform systemctl disable --now "$DAEMON.service"
  perform rm -f "$UNIT_DIR/$DAEMON.service"
  perform systemctl daemon-reload
  announce 'removed the daemon'
  # Beside the timers of run, that of prune is theirs.
  if [[ ! -e $UNIT_DIR/$(unit_name run).timer ]]; then remove_timers prune; fi
}

# --------------------------------------------------------------------------------------------

print_job() {
  printf '# %s\n' "$UNIT_DIR/$(unit_name "$1").service"
  service_text "$1"
  printf '\n# %s\n' "$UNIT_DIR/$(unit_name "$1").timer"
  timer_text "$1"
  printf '\n'
}

print_plan() {
  if [[ $MECHANISM == systemd ]]; then
    local job
    for job in "${JOBS[@]}"; do print_job "$job"; done
  elif [[ $MECHANISM == daemon ]]; then
    printf '# %s\n' "$UNIT_DIR/$DAEMON.service"
    daemon_text
    printf '\n'
    print_job prune
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

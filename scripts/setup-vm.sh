#!/usr/bin/env bash
# Brings a bare Debian or Ubuntu machine to a running job: packages, the program, an account for
# it, its configuration, the schedule. Run it again after a new version or a changed
# configuration; what is already there stays.
#
# Usage: sudo scripts/setup-vm.sh [OPTION…]
#
#   --binary PATH   install this prebuilt program instead of building one
#   --dir DIR       where to install (default /opt/notify-fan-out)
#   --user NAME     system account that runs the job (default notify-fan-out)
#   --cron          schedule by cron (default where systemd does not run)
#   --systemd       schedule by a systemd timer (default where systemd runs)
#   --daemon        run the daemon by systemd instead of scheduled jobs
#   --dry-run       print the steps, and change nothing
#   --help
#
# The configuration is /etc/notify-fan-out.env. The first run writes a template: put
# DATABASE_URL into it and run this again.
set -euo pipefail

CALLER_DIR=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh
source scripts/lib/packages.sh
source scripts/lib/requirements.sh

BINARY='' DIR=/opt/notify-fan-out JOB_USER=notify-fan-out SCHEDULE='' DRY_RUN=''
ENV_FILE=/etc/notify-fan-out.env

parse_arguments() {
  while (($# > 0)); do
    case $1 in
    --binary | --dir | --user)
      if [[ -z ${2:-} ]]; then usage_error "$1 needs a value"; fi
      case $1 in
      --binary) BINARY=$(path_of_caller "$2") ;;
      --dir) DIR=$2 ;;
      --user) JOB_USER=$2 ;;
      esac
      shift
      ;;
    --cron | --systemd | --daemon) SCHEDULE=${1#--} ;;
    --dry-run) DRY_RUN=yes ;;
    *) usage_error "unknown argument: $1" ;;
    esac
    shift
  done
}

check_arguments() {
  if [[ -n $BINARY && ! -x $BINARY ]]; then usage_error "there is no program at $BINARY"; fi
  if [[ $DIR != /* || $DIR -ef $ROOT ]]; then usage_error '--dir needs an absolute path outside this clone'; fi
  if [[ -z $SCHEDULE ]]; then
    if [[ -d /run/systemd/system ]]; then SCHEDULE=systemd; else SCHEDULE=cron; fi
  fi
  if [[ -n $DRY_RUN ]]; then return 0; fi
  if ! is_debian; then die 'this script knows Debian and Ubuntu only; the README says what it would do'; fi
  if ((EUID != 0)); then die 'run as root: sudo scripts/setup-vm.sh'; fi
}

# Runs a command, or only says so.
perform() {
  if [[ -n $DRY_RUN ]]; then
    printf '  %s\n' "$(printf '%q ' "$@")"
  else
    "$@"
  fi
}

as_job_user() { runuser -u "$JOB_USER" -- "$@"; }

# --- packages -------------------------------------------------------------------------------

needed_packages() {
  printf '%s\n' ca-certificates postgresql-client util-linux
  if [[ $SCHEDULE == cron ]]; then printf '%s\n' cron logrotate; fi
  if [[ -z $BINARY ]]; then printf '%s\n' curl build-essential pkg-config; fi
}

missing_packages() {
  local package
  for package in $(needed_packages); do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      printf '%s\n' "$package"
    fi
  done
}

install_packages() {
  local missing
  if ! is_debian; then missing=$(needed_packages); else missing=$(missing_packages); fi
  if [[ -z $missing ]]; then return 0; fi
  step "installing packages: ${missing//$'\n'/ }"
  # shellcheck disable=SC2086 # one word per package
  perform apt_install $missing
}

# Where systemd runs, the package has started it already.
start_cron() {
  if [[ -d /run/systemd/system ]]; then
    perform systemctl enable --now cron.service
  elif ! pgrep -x cron >/dev/null 2>&1; then
    warn 'cron is not running, and systemd does not run this machine: start cron, e.g. service cron start'
  fi
}

# --- the program ----------------------------------------------------------------------------

# Debian's own cargo is older than this crate needs; newer releases package rustup instead.
require_rust() {
  if has_rust; then return 0; fi
  if ! have rustup && apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]'; then
    perform apt_install rustup
  fi
  if have rustup; then
    step 'installing the current stable Rust with rustup'
    perform rustup toolchain install stable --profile minimal
    perform rustup default stable
    if [[ -n $DRY_RUN ]] || has_rust; then return 0; fi
  fi
  fail "Rust $(required_rust) or newer is needed to build, and this machine has none."
  cat >&2 <<EOF
  Either install it as root with rustup, as rust-lang.org/tools/install says, and run this again,
  or build on another machine (cargo build --release --locked), copy the program here, and run
    scripts/setup-vm.sh --binary PATH
EOF
  if [[ -z $DRY_RUN ]]; then exit 1; fi
}

build() {
  if [[ -n $BINARY ]]; then return 0; fi
  require_rust
  step 'building'
  # The scripts' own build: it knows when there is nothing to do.
  perform ./run.sh build
  BINARY=${CARGO_TARGET_DIR:-target}/release/notify-fan-out
}

# --- the installation -----------------------------------------------------------------------

create_account() {
  if id "$JOB_USER" >/dev/null 2>&1; then return 0; fi
  step "creating the account $JOB_USER"
  perform useradd --system --user-group --home-dir "$DIR" --no-create-home \
    --shell /usr/sbin/nologin "$JOB_USER"
}

# The new program takes the old one's name at once, also while the old one runs.
install_program() {
  step "installing into $DIR"
  perform install -d -m 0755 "$DIR" "$DIR/scripts/lib" "$DIR/scripts/systemd"
  perform install -m 0755 "$BINARY" "$DIR/notify-fan-out.new"
  perform mv -f "$DIR/notify-fan-out.new" "$DIR/notify-fan-out"
  perform install -m 0755 run.sh "$DIR/run.sh"
  perform install -m 0755 scripts/install-cron.sh "$DIR/scripts/"
  perform install -m 0644 scripts/lib/*.sh "$DIR/scripts/lib/"
  perform install -m 0644 scripts/systemd/* "$DIR/scripts/systemd/"
  if [[ ! -e $DIR/.env || -L $DIR/.env ]]; then perform ln -sfn "$ENV_FILE" "$DIR/.env"; fi
}

environment_template() {
  cat <<'EOF'
# Configuration of notify-fan-out. Every variable is explained in .env.example of the sources.
# Single quotes keep every character of a password as it is.
#DATABASE_URL='postgres://ROLE:PASSWORD@HOST:5432/DATABASE?sslmode=require'
#NOTIFY_FANOUT_BATCH_SIZE=500
#LOG_LEVEL=INFO
EOF
}

# It holds a password: readable by the job's account and root alone.
write_environment() {
  if [[ -e $ENV_FILE ]]; then return 0; fi
  step "writing the template $ENV_FILE"
  if [[ -n $DRY_RUN ]]; then
    environment_template | sed 's/^/  /'
    return 0
  fi
  (umask 077 && environment_template >"$ENV_FILE")
  chown "$JOB_USER:" "$ENV_FILE"
  chmod 0600 "$ENV_FILE"
}

# The job's role may be unable to migrate, and need not when nothing is to be migrated.
prepare_database() {
  if [[ -n $DRY_RUN ]] || ! as_job_user "$DIR/run.sh" migrate --check >/dev/null 2>&1; then
    step 'migrating the database'
    perform as_job_user "$DIR/run.sh" migrate
  fi
  step 'checking the installation'
  perform as_job_user "$DIR/run.sh" doctor
}

# The other ways are taken back, in case an earlier run chose one.
schedule() {
  local installer=$DIR/scripts/install-cron.sh
  if [[ $SCHEDULE == daemon ]]; then
    step 'installing the daemon'
    perform "$installer" install --daemon --user "$JOB_USER"
    return 0
  fi
  step "scheduling by $SCHEDULE"
  if [[ $SCHEDULE == systemd ]]; then
    perform "$installer" install --systemd --user "$JOB_USER"
    if have crontab; then perform "$installer" remove --user "$JOB_USER"; fi
  else
    start_cron
    perform "$installer" install --user "$JOB_USER"
    if [[ -d /run/systemd/system ]]; then
      perform "$installer" remove --daemon
      perform "$installer" remove --systemd
    fi
  fi
}

main() {
  help_if_asked scripts/setup-vm.sh "$@"
  parse_arguments "$@"
  check_arguments
  install_packages
  build
  create_account
  install_program
  write_environment
  if gives_value DATABASE_URL "$ENV_FILE"; then
    prepare_database
    schedule
    if [[ $SCHEDULE == daemon ]]; then
      step 'done: the daemon runs, and prune starts once a day'
    else
      step 'done: run and deliver start every minute, prune once a day'
    fi
  else
    heading "Put DATABASE_URL into $ENV_FILE, then run this again: it migrates, checks and schedules the job."
  fi
}

main "$@"

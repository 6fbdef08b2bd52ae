# shellcheck shell=bash
# Installing operating-system packages, where that is possible without asking.
# Needs ui.sh.

have() { command -v "$1" >/dev/null 2>&1; }

is_debian() { have apt-get && [[ -f /etc/debian_version ]]; }

may_administer() { ((EUID == 0)) || { have sudo && sudo -n true 2>/dev/null; }; }

as_admin() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

apt_install() {
  local options=(-y -q -o DPkg::Lock::Timeout=300)
  local environment=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C)
  local log
  log=$(mktemp)
  # A fresh image has no package index, and a stale one names packages that are gone.
  if ! as_admin "${environment[@]}" apt-get install "${options[@]}" --no-install-recommends "$@" >"$log" 2>&1; then
    if ! { as_admin "${environment[@]}" apt-get update "${options[@]}" &&
      as_admin "${environment[@]}" apt-get install "${options[@]}" --no-install-recommends "$@"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      fail "apt-get could not install: $*"
      return 1
    fi
  fi
  rm -f "$log"
}

# Runs a command while Debian's maintainer scripts may start no service.
# An existing policy is the administrator's, and stays.
without_starting_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [[ -e $policy ]]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\n# temporary: notify-fan-out installs a package\nexit 101\n' |
    as_admin tee "$policy" >/dev/null
  as_admin chmod 0755 "$policy"
  "$@" || status=$?
  as_admin rm -f "$policy"
  return "$status"
}

# Debian creates and starts a cluster "main" with the server package; nobody here asked for one.
# Where the administrator already has the setting's file, that choice holds.
apt_install_postgresql() {
  local conf=/etc/postgresql-common/createcluster.conf saved='' status=0
  if [[ ! -e $conf ]]; then
    without_starting_services apt_install postgresql-common || return
    if [[ -f $conf ]]; then
      saved=$(mktemp)
      cp "$conf" "$saved"
      printf 'create_main_cluster = false\n' | as_admin tee -a "$conf" >/dev/null
    fi
  fi
  without_starting_services apt_install postgresql || status=$?
  if [[ -n $saved ]]; then
    as_admin tee "$conf" <"$saved" >/dev/null
    rm -f "$saved"
  fi
  return "$status"
}

# Debian enables the packaged service at boot; only the program is wanted.
apt_install_pgbouncer() {
  without_starting_services apt_install pgbouncer || return
  if [[ -d /run/systemd/system ]]; then
    as_admin systemctl disable --now pgbouncer.service >/dev/null 2>&1 || true
  fi
}

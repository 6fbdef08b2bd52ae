# shellcheck shell=bash
# What a script needs of this machine, looked for before anything is begun: what is missing is
# named all at once, with the commands that install it.
# Needs ROOT, ui.sh, packages.sh, and for some parts postgres.sh or foreign.sh.

# require PART…: rust, compiler, server, pgbouncer, python. Debian's packages are installed where
# that is possible without asking.
require() {
  local part
  look_for "$@"
  if ((${#MISSING[@]} > 0)) && missing_is_installable; then
    for part in "${MISSING[@]}"; do
      step "installing Debian's packages $(requirement_packages "$part" debian) (once)"
      requirement_install "$part" || return
    done
    look_for "$@"
  fi
  if ((${#MISSING[@]} > 0)); then
    explain_missing "${MISSING[@]}"
    return 1
  fi
}

look_for() {
  local part
  MISSING=()
  for part in "$@"; do
    if ! "has_$part"; then MISSING+=("$part"); fi
  done
}

# --- Rust -----------------------------------------------------------------------------------

required_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }

is_at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# Below a home directory is where rustup installs; sudo resets PATH, and cron has none of it.
find_cargo() {
  local home
  if have cargo; then return 0; fi
  for home in "${CARGO_HOME:-}" "${HOME:-/root}/.cargo" "$(home_of "${SUDO_USER:-}")/.cargo"; do
    if [[ -n $home && -x $home/bin/cargo ]]; then
      PATH=$home/bin:$PATH
      # rustup's cargo looks for its toolchains below the caller's home.
      if [[ -d ${home%/.cargo}/.rustup ]]; then export RUSTUP_HOME=${RUSTUP_HOME:-${home%/.cargo}/.rustup}; fi
      return 0
    fi
  done
}

home_of() {
  if [[ -n $1 ]]; then getent passwd "$1" | cut -d : -f 6; fi
}

# Cargo's target folder, made where it is missing.
absolute_target() {
  mkdir -p "${CARGO_TARGET_DIR:-target}"
  (cd "${CARGO_TARGET_DIR:-target}" && pwd -P)
}

has_rust() {
  local version
  find_cargo
  version=$(cargo --version 2>/dev/null | awk '{ print $2 }')
  [[ -n $version ]] && is_at_least "$(required_rust)" "$version"
}

# --- the other parts ------------------------------------------------------------------------

# Rust links with it, and the crate ring is compiled by it.
has_compiler() { have cc; }

has_server() { pg_find_bin any; }

# Debian keeps it out of an ordinary user's PATH.
has_pgbouncer() {
  export TEST_PGBOUNCER
  TEST_PGBOUNCER=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v pgbouncer)
}

has_python() { foreign_find_python; }

requirement_name() {
  case $1 in
  rust) printf 'Rust %s or newer, with cargo' "$(required_rust)" ;;
  compiler) printf 'a C compiler and linker, cc' ;;
  server) printf 'the PostgreSQL server%s' "${FANOUT_PG_BIN:+ (FANOUT_PG_BIN is $FANOUT_PG_BIN)}" ;;
  pgbouncer) printf 'PgBouncer' ;;
  python) printf 'Python 3.10 or newer, with venv' ;;
  esac
}

# requirement_packages PART debian|fedora|arch|homebrew; none: it comes another way.
requirement_packages() {
  case $1-$2 in
  compiler-debian) echo gcc libc6-dev ;;
  compiler-homebrew) ;;
  compiler-*) echo gcc ;;
  server-fedora) echo postgresql-server postgresql-contrib ;;
  server-homebrew) echo postgresql@17 ;;
  server-*) echo postgresql ;;
  pgbouncer-*) echo pgbouncer ;;
  python-debian) echo python3 python3-venv ;;
  python-fedora) echo python3 ;;
  python-*) echo python ;;
  esac
}

requirement_install() {
  if [[ $1 == server ]]; then
    apt_install_postgresql
  elif [[ $1 == pgbouncer ]]; then
    apt_install_pgbouncer
  else
    # shellcheck disable=SC2046 # one word per package
    apt_install $(requirement_packages "$1" debian)
  fi
}

# Nothing is installed while something else would be missing all the same.
missing_is_installable() {
  local part
  if ! is_debian || ! may_administer; then return 1; fi
  for part in "${MISSING[@]}"; do
    if [[ $part == rust || $part == server && -n ${FANOUT_PG_BIN:-} ]]; then return 1; fi
  done
}

# --- what to do -----------------------------------------------------------------------------

explain_missing() {
  local part
  fail 'this is needed and not installed here:'
  for part in "$@"; do printf '  %s\n' "$(requirement_name "$part")" >&2; done
  printf 'Install it and run the command again:\n' >&2
  if [[ " $* " == *' rust '* ]]; then
    if have rustup; then
      printf '  rustup toolchain install stable && rustup default stable\n' >&2
    else
      printf "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh\n" >&2
    fi
  fi
  if have apt-get; then
    print_install debian 'sudo apt-get install' "$@"
  elif have dnf; then
    print_install fedora 'sudo dnf install' "$@"
  elif have pacman; then
    print_install arch 'sudo pacman -S' "$@"
  elif have brew; then
    print_install homebrew 'brew install' "$@"
    if [[ " $* " == *' compiler '* ]]; then printf '  xcode-select --install\n' >&2; fi
  else
    print_install debian 'Debian, Ubuntu   sudo apt-get install' "$@"
    print_install fedora 'Fedora, RHEL     sudo dnf install' "$@"
    print_install arch 'Arch             sudo pacman -S' "$@"
    print_install homebrew 'macOS            brew install' "$@"
  fi
}

# print_install SYSTEM COMMAND PART…
print_install() {
  local system=$1 command=$2 part packages=()
  shift 2
  for part in "$@"; do
    # shellcheck disable=SC2207 # one word per package
    packages+=($(requirement_packages "$part" "$system"))
  done
  if ((${#packages[@]} > 0)); then printf '  %s %s\n' "$command" "${packages[*]}" >&2; fi
}

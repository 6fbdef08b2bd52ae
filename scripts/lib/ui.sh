# shellcheck shell=bash
# What the scripts say: progress on stderr, so that stdout stays the program's own.

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  UI_BOLD=$'\e[1m' UI_DIM=$'\e[2m' UI_RED=$'\e[31m' UI_YELLOW=$'\e[33m' UI_OFF=$'\e[0m'
else
  UI_BOLD='' UI_DIM='' UI_RED='' UI_YELLOW='' UI_OFF=''
fi

step() { printf '%s• %s%s\n' "$UI_DIM" "$*" "$UI_OFF" >&2; }
heading() { printf '%s%s%s\n' "$UI_BOLD" "$*" "$UI_OFF" >&2; }
warn() { printf '%swarning:%s %s\n' "$UI_YELLOW" "$UI_OFF" "$*" >&2; }
fail() { printf '%serror:%s %s\n' "$UI_RED" "$UI_OFF" "$*" >&2; }

die() {
  fail "$*"
  exit 1
}

usage_error() {
  fail "$*"
  exit 2
}

# Prints the comment block at the top of script $1, which is its --help.
print_header_help() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

# help_if_asked SCRIPT ARGUMENT…
help_if_asked() {
  local script=$1 argument
  shift
  for argument in "$@"; do
    if [[ $argument == -h || $argument == --help ]]; then
      print_header_help "$script"
      exit 0
    fi
  done
}

# expect_no_arguments SCRIPT ARGUMENT…
expect_no_arguments() {
  help_if_asked "$@"
  if (($# > 1)); then
    print_header_help "$1"
    exit 2
  fi
}

# What path $1 means in CALLER_DIR, where the script was called.
path_of_caller() {
  if [[ $1 == /* ]]; then printf '%s' "$1"; else printf '%s/%s' "$CALLER_DIR" "$1"; fi
}

# Whether file $2 gives variable $1 a value, as dotenvy reads it: the first line counts.
gives_value() {
  local line value pattern="^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*(.*)$"
  if [[ ! -r $2 ]]; then return 1; fi
  while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line =~ $pattern ]]; then
      value=${BASH_REMATCH[2]%$'\r'}
      [[ -n $value && $value != '#'* && ! $value =~ ^(\"\"|\'\')[[:space:]]*(#.*)?$ ]]
      return
    fi
  done <"$2"
  return 1
}

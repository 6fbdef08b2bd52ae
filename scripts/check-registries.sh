#!/usr/bin/env bash
# Proves that a channel is one file and one line: adds one to a copy of the sources, and runs the
# tests that follow from the registry.
#
# Usage: scripts/check-registries.sh
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh

add_channel() {
  cat >src/channels/scratch.rs <<'RUST'
//! A chat that only this check has.

use serde_json::{Value, json};

use super::Spec;
use super::chat::{Chat, ChatMessage};
use super::http::{Answer, Details};

#[derive(Debug, Default)]
pub struct Scratch;

impl Chat for Scratch {
    const SPEC: Spec = Spec::chat("scratch", "scratch messages");

    fn body(message: &ChatMessage) -> Value {
        json!({ "text": message.title })
    }

    fn details(_: &Answer) -> Details {
        Details::default()
    }
}
RUST
  sed -i 's/^    webhook::Webhook,$/&\n    scratch::Scratch,/' src/channels/mod.rs
  grep -q scratch src/channels/mod.rs || die 'src/channels/mod.rs has no line of the webhook channel'
}

main() {
  if (($# > 0)); then
    print_header_help scripts/check-registries.sh
    if [[ $1 == -h || $1 == --help ]]; then exit 0; else exit 2; fi
  fi
  TARGET=${CARGO_TARGET_DIR:-target}
  mkdir -p "$TARGET"
  TARGET=$(cd "$TARGET" && pwd -P)
  local copy=$TARGET/check-registries started=$TARGET/check-registries.started
  rm -rf "$copy"
  mkdir -p "$copy"
  touch "$started"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy" 2>/dev/null || true
  # Cargo takes the copy for the clone: the next build there would believe the copy's sources.
  trap 'find "$TARGET/debug/.fingerprint" -maxdepth 1 -name "notify-fan-out-*" -newer "$TARGET/check-registries.started" -exec rm -rf {} +; rm -rf "$TARGET/check-registries"' EXIT
  cd "$copy"
  add_channel
  step 'testing with a channel more'
  CARGO_TARGET_DIR=$TARGET SQLX_OFFLINE=true UPDATE_DOCS=1 \
    cargo test --quiet --locked --lib -- channels:: endpoints:: generated_docs
  grep -q "^| \`scratch\` " docs/delivery.md || die 'docs/delivery.md does not list the new channel'
  step 'the channel is known wherever channels are'
}

main "$@"

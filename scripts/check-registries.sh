#!/usr/bin/env bash
# Proves that a channel and an event type are one file and one line each: adds one of both to a copy of
# the sources, and runs there what knows all of them: channels, endpoints, handlers, e-mails, previews,
# test data and docs.
#
# Usage: scripts/check-registries.sh
#
# The copy is in the target directory, so that only the first call compiles all of it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh
source scripts/lib/packages.sh
source scripts/lib/requirements.sh

# Files keep their times, so that cargo sees what has changed.
copy_tree() {
  rm -rf "$COPY"
  mkdir -p "$COPY"
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ -f $file ]] && printf '%s\0' "$file"; done |
    tar --null --files-from=- -cf - | tar -C "$COPY" -xf -
}

# Cargo takes the copy for the clone: the next build there would believe the copy's sources.
clean_up() {
  find "$CARGO_TARGET_DIR/debug/.fingerprint" -maxdepth 1 -name 'notify-fan-out-*' -newer "$COPY.started" \
    -exec rm -rf {} +
  rm -rf "$COPY" "$COPY.started"
}

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

add_type() {
  sed -i 's/^handlers! {$/&\n    scratch_made => ScratchMade,/' src/handlers/mod.rs
  cat >src/handlers/scratch_made.rs <<'RUST'
//! Something was made from scratch: one person is notified.

use super::prelude::*;
use super::sample::{CHIARA, QUAYSIDE};
use crate::domain::plan::PreferenceScopes;

payload! {
    pub(super) struct ScratchMade {
        user_id: Uuid,
        scratch_name: Option<String>,
    }
}

impl Event for ScratchMade {
    fn samples() -> Vec<EventRow> {
        let payload = json!({"user_id": CHIARA, "scratch_name": "Scratch"});
        vec![sample::event([QUAYSIDE], payload)]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let name = self.scratch_name.as_deref().unwrap_or("Something");
        let data = object! {"type": "scratch_made"};
        let draft = Draft::new(names, names.links().dashboard.clone(), data, |style| {
            format!("{} was made", style.name(name))
        });
        vec![draft.plan(Audience::User(self.user_id), PreferenceScopes::default())]
    }
}
RUST
}

main() {
  expect_no_arguments scripts/check-registries.sh "$@"
  CARGO_TARGET_DIR=$(absolute_target)
  COPY=$CARGO_TARGET_DIR/check-registries
  export CARGO_TARGET_DIR SQLX_OFFLINE=true
  touch "$COPY.started"
  trap clean_up EXIT
  copy_tree
  cd "$COPY"
  add_channel
  add_type
  step 'testing with a channel and an event type more'
  # What is generated for each type: its docs, and the snapshot of what its sample leads to.
  UPDATE_DOCS=1 INSTA_UPDATE=unseen INSTA_FORCE_PASS=1 cargo test --quiet --locked --lib -- \
    generated_docs samples_have_effects
  INSTA_UPDATE=no cargo test --quiet --locked --lib -- \
    channels:: endpoints:: handlers:: templates:: seed:: cli::preview generated_docs
  grep -q "^| \`scratch\` " docs/delivery.md || die 'docs/delivery.md does not list the new channel'
  grep -q "^| \`scratch_made\` | Something was made from scratch" docs/events.md ||
    die 'docs/events.md lacks the new type'
  scripts/test.sh --quiet --test integration -- templates:: seed:: event_types:: generated_docs
  step 'both are known wherever channels and event types are'
}

main "$@"

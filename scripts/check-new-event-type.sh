#!/usr/bin/env bash
# Proves that a new event type is one file and one line: adds a scratch type to a copy of the tree,
# and runs there what knows all event types: handlers, e-mails, previews, test data and docs.
#
# Usage: scripts/check-new-event-type.sh
#
# The copy is in the target directory, so that only the first call compiles all of it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh

if (($# > 0)); then
  print_header_help scripts/check-new-event-type.sh
  if [[ $1 == -h || $1 == --help ]]; then exit 0; else exit 2; fi
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
COPY=$CARGO_TARGET_DIR/new-event-type

# Files keep their times, so that cargo sees what has changed.
copy_tree() {
  mkdir -p "$COPY"
  find "$COPY" -type f -newer "$COPY/.copied" -delete 2>/dev/null || true
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ -f $file ]] && printf '%s\0' "$file"; done |
    tar --null --files-from=- -cf - | tar -C "$COPY" -xf -
  touch "$COPY/.copied"
}

add_type() {
  sed -i 's/^handlers! {$/&\n    scratch_made => ScratchMade,/' "$COPY/src/handlers/mod.rs"
  cat >"$COPY/src/handlers/scratch_made.rs" <<'RUST'
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

copy_tree
add_type
cd "$COPY"
step 'the docs and the snapshot of its messages'
UPDATE_DOCS=1 INSTA_UPDATE=always cargo test --quiet --locked --lib -- \
  generated_docs samples_have_effects
grep -q "^| \`scratch_made\` | Something was made from scratch" docs/events.md ||
  die 'docs/events.md lacks the new type'
grep -q '^  Scratch was made' src/handlers/snapshots/scratch_made.snap ||
  die 'the snapshot lacks the message of the new type'
step 'the tests that know all event types'
scripts/test.sh --quiet --lib --test integration -- \
  handlers:: templates:: seed:: event_types:: cli::preview generated_docs

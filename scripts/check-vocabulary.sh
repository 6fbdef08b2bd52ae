#!/usr/bin/env bash
# Finds words that this project does not use, and says which to use instead.
#
# One thing has one name, in code, SQL, messages and docs alike, so that a search for it finds
# every place. The list below holds the names that were dropped. A word inside an identifier
# counts as a word: `told_before` and `ToldBefore` both contain "told".
#
# Usage: scripts/check-vocabulary.sh [PATH...]
#
# Without PATH it reads everything that git tracks and that people read. Exit code 1: found some.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"
source scripts/lib/ui.sh

help_if_asked scripts/check-vocabulary.sh "$@"
if (($# == 0)); then
  set -- src migrations/objects seed scripts docs .ci README.md CONTRIBUTING.md .env.example run.sh Cargo.toml
fi

# PATTERN => what to say. Patterns are Perl's, without regard to case, and meet the line after
# its CamelCase and snake_case names were split into words.
words=$(
  cat <<'LIST'
hearers?                                  => recipient
hears?|heard                              => is notified, receives
told|telling                              => notified; message
fates?                                    => delivery history
verdicts?                                 => decision, outcome
his own|he|she|him|her|his                => they, their
acts?                                     => event
conjures?                                 => creates
passed over|held off                      => skipped, suppressed
guards?                                   => dedup key
crowds?                                   => large audience
gathers?|gathered                         => coalesce
understands?|understood                   => decode
parcels?                                  => delivery
carriers?                                 => transport
carries (e-?)?mails?                      => transport
given up|gives? up|gave up                => dead letter, failed
put back|puts? it back|taken? up|takes? it up => requeue
rested                                    => circuit breaker open
lessons?|learns?|learnt                   => circuit breaker
seals?|sealed|reseal(ed|s)?|unseal(ed)?   => encryption, rotate-key
masks?|masked|masking                     => redact
mod trust|trust ::                        => TLS roots
upkeep                                    => ops
patience                                  => deadline, timeout
faults?                                   => error class
blames?|blamed                            => error class, outcome
in words|desk                             => impl Display of a report
by hand                                   => manually
mend(s|ed|ing)?                           => fix
on end                                    => consecutive
on (its|their) way                        => in flight
(?<!in )flights?                          => in flight
notices?                                  => message
(?<!there )is no (channel|token|endpoint|url|uuid|e-?mail) => is not a …
stands there twice                        => is listed twice
is no more                                => no longer exists
without a word                            => silently
LIST
)

# Lines where such a word means something else: FILE PATTERN, then LINE PATTERN, then why.
exceptions=$(
  cat <<'LIST'
^scripts/check-vocabulary\.sh$ | . | the list itself
\.rs$ | (Mutex|RwLock|Drop|Span|Semaphore|Enter|Default)Guard|guard clause | names of Rust and its libraries
\.(rs|sql|md)$ | notification_delivery_guards|'guards'|"guards"|`guards`|body_data\.guards|ON CONFLICT \(guard\) | a table and a key that exist in databases
\.(rs|md)$ | "verdict"|`verdict`|\.verdict | a JSON key that scripts read
^(src/ops|scripts/grants)|^src/tests/(doctor|operator_events) | "verdict"|"guards_count"|"guard"|guard = ANY|SELECT guard$|guard, delivery_key|guard LIKE | JSON keys and a column that users know
fan_out/.*\.sql$ | \b(x|past|g)\.guard\b|\(guard\)|SELECT guard FROM | the column of that table
dry(_run)?\.rs$ | "verdict" | a key of JSON output
^src/(handlers|templates)/ | \bdata\.told\b|"told"|guards: \[ | keys of stored e-mails, which templates of users read
\.(rs|md|sql)$ | "sealed"|'sealed'|`sealed` | a code of deliveries that filters name
^src/handlers/alert\.rs$ | "notice" | a severity that senders use
\.(rs|md|sh|sql)$ | bit ?masks?|umask|netmask | other masks
^docs/events\.md$ | info, low, notice | severities that alerts have
\.rs$ | resealed_count|alias = "reseal"|\["reseal"\] | a key of a report, and the older name of a command
^src/endpoints/email\.rs$ | "told": |under `told` | a variable of templates that people may have written
LIST
)

files() { git ls-files -- "$@" | grep -vE '\.(png|svg|lock|snap)$|^migrations/00(0[1-9]|1[0-9])_'; }

found=$(
  files "$@" | WORDS=$words EXCEPTIONS=$exceptions perl -ne '
    BEGIN {
      for (split /\n/, $ENV{WORDS}) {
        my ($pattern, $say) = /^(.*?)\s+=> (.*)$/ or die "not PATTERN => WORD: $_\n";
        push @words, [qr/(?<![a-z])(?:$pattern)(?![a-z])/i, $say];
      }
      for (split /\n/, $ENV{EXCEPTIONS}) {
        my ($file, $line) = split / \| /;
        push @exceptions, [qr/$file/, qr/$line/];
      }
    }
    chomp(my $file = $_);
    my $scan = sub {
      my ($place, $line) = @_;
      my $split = $line =~ s/([a-z0-9])([A-Z])/$1 $2/gr =~ s/_/ /gr;
      for my $word (@words) {
        while ($split =~ /$word->[0]/g) {
          my $match = $&;
          next if grep { $file =~ $_->[0] and $line =~ $_->[1] } @exceptions;
          print "$place: \"$match\": say $word->[1]\n";
        }
      }
    };
    $scan->($file, $file);
    open my $lines, "<", $file or die "$file: $!\n";
    while (my $line = <$lines>) { $scan->("$file:$.", $line) }
  '
)

if [[ -n $found ]]; then
  printf '%s\n' "$found"
  fail "$(wc -l <<<"$found") words that are not the project's"
  exit 1
fi
step 'no word that was dropped'

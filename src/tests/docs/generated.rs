//! Tables of the pages that the code knows better: `<!-- generated: NAME -->` … `<!-- end -->`.
//!
//! `UPDATE_DOCS=1 cargo test --lib generated_docs` writes them anew. A test of the library, not of the
//! integration tests, because it reads what only the crate sees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Arg, Command};

use crate::channels::{Channel, Retry, SentBy, Uncertain};
use crate::cli::{ExitStatus, command_line};
use crate::delivery::{Code, DeliveryStatus, Outcome};
use crate::handlers::docs;
use crate::metrics;

/// At the start of a line, so that a page may also speak of it.
const BEGIN: &str = "\n<!-- generated: ";
const END: &str = "<!-- end -->";

/// Every generated table by its name. A module adds a line with its own.
fn tables() -> BTreeMap<String, String> {
    let mut tables = BTreeMap::from([
        ("exit codes".to_owned(), exit_codes()),
        ("metrics".to_owned(), metrics_table()),
        ("channels".to_owned(), channels()),
        (
            "delivery statuses".to_owned(),
            texts(
                DeliveryStatus::ALL,
                DeliveryStatus::name,
                DeliveryStatus::meaning,
            ),
        ),
        (
            "delivery codes".to_owned(),
            texts(Code::ALL, Code::name, Code::meaning),
        ),
        (
            "attempt outcomes".to_owned(),
            texts(Outcome::ALL, Outcome::name, Outcome::meaning),
        ),
    ]);
    let head = ["event type", "meaning", "required", "optional", "e-mail"];
    for (name, operator) in [("events", false), ("operator events", true)] {
        tables.insert(name.to_owned(), table(head, docs::event_types(operator)));
    }
    add_commands(&command_line(), "", &mut tables);
    tables
}

fn texts<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    meaning: impl Fn(T) -> &'static str,
) -> String {
    let rows = all
        .iter()
        .map(|one| [format!("`{}`", name(*one)), meaning(*one).to_owned()]);
    table(["value", "meaning"], rows)
}

fn exit_codes() -> String {
    let rows = ExitStatus::ALL.map(|status| [(status as u8).to_string(), status.meaning().into()]);
    table(["code", "meaning"], rows)
}

fn channels() -> String {
    let rows = Channel::ALL.map(|channel| {
        let spec = channel.spec();
        let code = |text: &str| format!("`{text}`");
        let sent_by = match spec.sent_by {
            SentBy::Endpoint => "itself".to_owned(),
            SentBy::Account { transports, .. } => transports.join(", "),
        };
        let pace = spec
            .pace
            .map(|pace| humantime::format_duration(pace).to_string());
        let retries = match spec.retry {
            Retry::Patient => "NOTIFY_DELIVERY_RETRY_SCHEDULE",
            Retry::Eager => "NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE",
        };
        let uncertain = match spec.uncertain {
            Uncertain::Hold => "held for a person",
            Uncertain::Resend => "sent again",
        };
        [
            code(spec.name),
            format!("{} ({})", spec.target.what, code(spec.target.option)),
            sent_by,
            code(retries),
            pace.map_or_else(String::new, |pace| {
                format!("one message a target and {pace}")
            }),
            uncertain.to_owned(),
            spec.route
                .map_or_else(String::new, |route| code(route.address)),
        ]
    });
    table(
        [
            "channel",
            "target",
            "sent by",
            "retried as in",
            "pace",
            "if it may have arrived",
            "route of the environment",
        ],
        rows,
    )
}

fn metrics_table() -> String {
    let rows = metrics::all().map(|metric| {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        [
            format!("`{}{labels}`", metric.name),
            metric.kind.name().to_owned(),
            metric.help.to_owned(),
        ]
    });
    table(["metric", "type", "value"], rows)
}

/// `commands` for the program, `commands endpoint` for a command that has some of its own, and
/// `flags retry, discard` for the arguments of commands beside each other that take the same.
fn add_commands(command: &Command, path: &str, tables: &mut BTreeMap<String, String>) {
    let mut subcommands: Vec<_> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .collect();
    subcommands.sort_by_key(|command| command.get_display_order());
    let mut rows = Vec::new();
    let mut flags: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for command in subcommands {
        let name = command.get_name();
        let full_name = format!("{path}{name}");
        let about = command.get_about().map(ToString::to_string);
        rows.push([format!("`{full_name}`"), about.unwrap_or_default()]);
        // The flags of the commands that `config` takes are theirs.
        if name != "config" && command.has_subcommands() {
            add_commands(command, &format!("{full_name} "), tables);
        } else if let Some(table) = arguments(command) {
            flags.entry(table).or_default().push(name);
        }
    }
    let named = format!("commands {path}").trim().to_owned();
    tables.insert(named, table(["command", "what it does"], rows));
    for (table, names) in flags {
        tables.insert(format!("flags {path}{}", names.join(", ")), table);
    }
}

fn arguments(command: &Command) -> Option<String> {
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !is_everywhere(argument))
        .map(|argument| [shape(argument), help(argument)])
        .collect();
    (!arguments.is_empty()).then(|| table(["argument", "meaning"], arguments))
}

/// Every command takes these.
fn is_everywhere(argument: &Arg) -> bool {
    ["format", "help", "version"].contains(&argument.get_id().as_str())
}

fn shape(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let takes_value = argument.get_action().takes_values();
    let value = if takes_value {
        names.join(" ")
    } else {
        String::new()
    };
    let several = match argument.get_num_args() {
        Some(range) if argument.is_positional() && range.max_values() > 1 => "…",
        _ => "",
    };
    let flag = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => String::new(),
    };
    format!("`{}{several}`", format!("{flag} {value}").trim())
}

fn help(argument: &Arg) -> String {
    let mut help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        help = format!("{help}: {}", values.join(", "));
    }
    help
}

/// A table in Markdown; a cell may hold `|` and line breaks.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![head.join(" | "), ["---"; N].join(" | ")];
    lines.extend(rows.into_iter().map(|row| {
        let cells = row.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        cells.join(" | ")
    }));
    format!("| {} |\n", lines.join(" |\n| "))
}

/// The page with its generated parts made anew; their names are added to `used`.
fn renewed(page: &str, tables: &BTreeMap<String, String>, used: &mut BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").expect("NAME -->");
        let (_, after) = after
            .split_once(END)
            .unwrap_or_else(|| panic!("{END} is missing after{BEGIN}{name} -->"));
        let table = tables
            .get(name)
            .unwrap_or_else(|| panic!("nothing generates {name:?}; known: {:?}", tables.keys()));
        text.extend([before, BEGIN, name, " -->\n", table, END]);
        used.insert(name.to_owned());
        rest = after;
    }
    text + rest
}

#[test]
fn generated_tables_of_the_pages_are_those_of_the_code() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("docs");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("a page").path()).collect();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|page| root.join(page)));
    let tables = tables();
    let mut used = BTreeSet::new();
    let mut stale = Vec::new();
    for page in pages.iter().filter(|page| page.exists()) {
        let text = std::fs::read_to_string(page).expect("a page");
        let renewed = renewed(&text, &tables, &mut used);
        if renewed == text {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(page, renewed).expect("the page is written");
        } else {
            stale.push(page);
        }
    }
    assert!(
        stale.is_empty(),
        "UPDATE_DOCS=1 cargo test --lib generated_docs writes {stale:?} anew"
    );
    let unused: Vec<_> = tables.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "on no page: {unused:?}");
}

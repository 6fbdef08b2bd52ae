//! Printing: aligned text for people, JSON for machines, colour on a terminal only.

use std::fmt::{Display, Formatter};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Exit, ExitStatus};
use crate::config::Format;
use crate::telemetry;

/// Prints a report: what its `Display` says, or one JSON document.
pub(super) fn emit(report: &(impl Serialize + Display), format: Format) -> io::Result<()> {
    match format {
        Format::Json => json(report),
        Format::Text if Style::stdout().coloured => text(&format!("{report:#}")),
        Format::Text => text(&report.to_string()),
    }
}

/// Prints the report of a command that did everything asked for.
pub(super) fn done(report: &(impl Serialize + Display), format: Format) -> Exit {
    emit(report, format)?;
    Ok(ExitStatus::Success)
}

/// Prints a value as one JSON document on one line.
pub(super) fn json(value: &impl Serialize) -> io::Result<()> {
    print(|out| {
        serde_json::to_writer(&mut *out, value)?;
        writeln!(out)
    })
}

/// What shows a person at a terminal that something goes on, and how far it is.
pub(super) fn progress_bar(format: Format) -> ProgressBar {
    if format == Format::Json || telemetry::is_json() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// The answer of a person at the terminal; `None` where there is nobody to ask.
pub(super) fn ask(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    eprint!("{question}");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(answer.trim().to_owned()))
}

/// Whether a person reads what is printed.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints lines of text.
pub(super) fn text(lines: &str) -> io::Result<()> {
    print(|out| {
        out.write_all(lines.as_bytes())?;
        if !lines.ends_with('\n') {
            writeln!(out)?;
        }
        out.flush()
    })
}

/// Lines that are printed as they come. After an error nothing more is.
pub(super) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    result: io::Result<()>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
            result: Ok(()),
        }
    }

    pub(super) fn line(&mut self, line: impl Display) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{line}");
        }
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.result?;
        self.out.flush()
    }
}

/// Whoever closes the pipe, such as `head`, has seen enough: the exit code stays what it is.
fn print(write: impl FnOnce(&mut StdoutLock<'_>) -> io::Result<()>) -> io::Result<()> {
    match write(&mut io::stdout().lock()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The colours of a terminal; none elsewhere, or where `NO_COLOR` asks for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    coloured: bool,
}

impl Style {
    /// For standard output.
    pub(super) fn stdout() -> Self {
        Self {
            coloured: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// For a `Display`: coloured where it is formatted with `{:#}`.
    pub(super) fn of(f: &Formatter<'_>) -> Self {
        Self {
            coloured: f.alternate(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }
}

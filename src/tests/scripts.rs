//! The shell scripts, in a clone without a build and on a machine that lacks things.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{RunCommand as _, TestDatabase};

/// What every machine has; neither a compiler nor PostgreSQL.
const TOOLS: &[&str] = &[
    "awk", "bash", "basename", "cat", "chmod", "chown", "cksum", "cp", "cut", "dirname", "env",
    "find", "grep", "head", "id", "ls", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sleep",
    "sort", "tail", "touch", "tr",
];
/// Somebody who may install nothing.
const NOBODY: u32 = 65_534;

/// The sources as git has them, without a build.
struct Clone {
    folder: tempfile::TempDir,
}

impl Clone {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let clone = Self { folder };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in [
            "run.sh",
            "Cargo.toml",
            "Cargo.lock",
            "src/cli/mod.rs",
            "scripts",
            ".ci",
        ] {
            copy(&sources.join(part), &clone.path(part));
        }
        fs::create_dir(clone.path("bin")).expect("a folder");
        let path = std::env::var_os("PATH").expect("a path");
        for tool in TOOLS {
            let mut found = std::env::split_paths(&path).map(|folder| folder.join(tool));
            let found = found.find(|file| file.exists()).expect(tool);
            symlink(found, clone.path("bin").join(tool)).expect("a link");
        }
        clone
    }

    fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join("clone dir").join(part)
    }

    /// A script, called from another folder by a relative path.
    fn script(&self, script: &str) -> Command {
        let mut command = Command::new(Path::new("../clone dir").join(script));
        let elsewhere = self.path("../elsewhere");
        fs::create_dir_all(&elsewhere).expect("a folder");
        command.current_dir(elsewhere).env_clear();
        command
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"));
        command.env("FANOUT_PG_BIN", self.path("no-postgres"));
        command
    }

    fn is_untouched(&self) -> bool {
        !self.path("target").exists() && !self.path(".local/postgres").exists()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).expect("a copy");
    }
}

fn is_root() -> bool {
    std::env::var("TEST_RUN_AS").is_ok_and(|name| !name.is_empty())
}

#[test]
fn help_and_version_need_no_build() {
    let clone = Clone::new();
    for script in [
        "scripts/install-cron.sh",
        "scripts/setup-vm.sh",
        "scripts/test.sh",
        "scripts/bench.sh",
        "scripts/check-sqlx.sh",
        ".ci/run",
    ] {
        let help = clone.script(script).arg("--help").prints();
        let usage = ["", "sudo "].map(|sudo| format!("Usage: {sudo}{script}"));
        let is_shown = usage.iter().any(|usage| help.contains(usage));
        assert!(is_shown, "{script}: {help}");
    }
    let help = clone.script("run.sh").arg("--help").prints();
    for line in [
        "./run.sh update",
        "  dead-letters  List",
        "  doctor        Check",
    ] {
        assert!(help.contains(line), "{line}: {help}");
    }
    let version = concat!("notify-fan-out ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(clone.script("run.sh").arg("--version").prints(), version);
    clone.script("run.sh").args(["db", "--help"]).prints();
    assert!(clone.is_untouched());
}

#[test]
fn all_that_is_missing_is_named_before_anything_is_built() {
    let clone = Clone::new();
    let missing = |command: &mut Command| {
        let stderr = command.fails(1);
        assert!(clone.is_untouched());
        stderr.replace(clone.folder.path().to_str().expect("a path"), "…")
    };
    let mut commands = vec![clone.script("run.sh"), clone.script("scripts/bench.sh")];
    if is_root() {
        chown(clone.path(""), Some(NOBODY), Some(NOBODY)).expect("an owner");
        let mut command = clone.script("run.sh");
        command.uid(NOBODY).gid(NOBODY);
        commands.insert(0, command);
    }
    let words: Vec<_> = commands.iter_mut().map(missing).collect();
    insta::assert_snapshot!(words[0], @"
    error: this is needed and not installed here:
      Rust 1.94 or newer, with cargo
      a C compiler and linker, cc
      the PostgreSQL server (FANOUT_PG_BIN is …/clone dir/no-postgres)
    Install it and run the command again:
      curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
      Debian, Ubuntu   sudo apt-get install gcc libc6-dev postgresql
      Fedora, RHEL     sudo dnf install gcc postgresql-server postgresql-contrib
      Arch             sudo pacman -S gcc postgresql
      macOS            brew install postgresql@17
    Or set DATABASE_URL, in .env or the environment: then no PostgreSQL is needed here.
    ");
    assert_eq!(words[0], words[words.len() - 2]);
    assert!(words[0].starts_with(&words[words.len() - 1]), "{words:?}");
    // Where the server is there, no way around it is offered.
    let mut command = clone.script("run.sh");
    let server = std::env::var_os("TEST_PG_BIN").expect("a server");
    command.env("FANOUT_PG_BIN", server);
    let words_with_server = missing(&mut command);
    assert!(
        words_with_server.contains("Rust") && !words_with_server.contains("DATABASE_URL"),
        "{words_with_server}"
    );
    // With a database of one's own there is no need of a server.
    let mut command = clone.script("run.sh");
    command.env("DATABASE_URL", "postgres://nowhere");
    let words = missing(&mut command);
    assert!(
        words.contains("a C compiler") && !words.contains("PostgreSQL"),
        "{words}"
    );
}

#[tokio::test]
async fn scheduled_jobs_run_an_installed_program() {
    let db = TestDatabase::new().await;
    let clone = Clone::new();
    let program = env!("CARGO_BIN_EXE_notify-fan-out");
    let variables = format!("DATABASE_URL={}\n", db.superuser_url());
    fs::write(clone.path(".env"), variables).expect("a file");
    let mut update = clone.script("run.sh");
    update.arg("update").env("FANOUT_BINARY", program).prints();
    // What a git pull brings is not built, and no script is run.
    fs::remove_file(clone.path("run.sh")).expect("a file");
    fs::remove_dir_all(clone.path("src")).expect("a folder");
    let mut printed = clone.script("scripts/install-cron.sh");
    let table = printed.args(["--print", "--log", "job 100%.log"]).prints();
    let jobs = table.lines().filter(|line| line.contains(".local/bin"));
    let jobs: Vec<_> = jobs.collect();
    for line in &jobs {
        // As cron does: five fields, then a command in which \% is a percent sign.
        let command = line.splitn(6, ' ').nth(5).expect("a command");
        let mut sh = Command::new("sh");
        sh.env_clear().current_dir("/").arg("-c");
        sh.arg(command.replace("\\%", "%")).prints();
    }
    let log = fs::read_to_string(clone.path("../elsewhere/job 100%.log")).expect("a log");
    let ends = [
        "Job completed",
        "Delivery completed",
        "Deleted what was done before",
    ];
    assert_eq!(jobs.len(), ends.len(), "{table}");
    assert!(ends.iter().all(|end| log.contains(end)), "{log}");
}

#[tokio::test]
async fn a_program_is_not_installed_before_its_migrations() {
    let db = TestDatabase::empty().await;
    let clone = Clone::new();
    let mut update = clone.script("run.sh");
    update.arg("update").env("DATABASE_URL", db.superuser_url());
    update.env("FANOUT_BINARY", env!("CARGO_BIN_EXE_notify-fan-out"));
    let refused = update.fails(1);
    assert!(refused.contains("./run.sh migrate"), "{refused}");
    assert!(!clone.path(".local/bin").exists());
}

#[test]
fn units_fit_the_jobs() {
    let clone = Clone::new();
    // systemd's units take no path with spaces, and printing them does not mind.
    let mut install = clone.script("scripts/install-cron.sh");
    let units = install.args(["--systemd", "--print"]).prints();
    let lines = |start: &str| {
        let found = units.lines().filter(|line| line.starts_with(start));
        found
            .map(|line| line.replace(clone.path("").to_str().expect("a path"), "…/"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(lines("ExecStart="), @"
    ExecStart=…/.local/bin/notify-fan-out run
    ExecStart=…/.local/bin/notify-fan-out deliver
    ExecStart=…/.local/bin/notify-fan-out prune
    ");
    insta::assert_snapshot!(lines("OnCalendar="), @"
    OnCalendar=minutely
    OnCalendar=minutely
    OnCalendar=*-*-* 04:17:00
    ");
    insta::assert_snapshot!(lines("TimeoutStartSec="), @"
    TimeoutStartSec=15min
    TimeoutStartSec=15min
    TimeoutStartSec=6h
    ");
    assert_eq!(
        lines("SuccessExitStatus="),
        ["SuccessExitStatus=5"; 3].join("\n")
    );
    assert!(!units.contains("@JOB@"), "{units}");
}

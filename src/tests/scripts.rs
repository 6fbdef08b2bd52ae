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

#[test]
fn the_unit_of_the_daemon_is_hardened_and_valid() {
    let clone = Clone::new();
    let mut install = clone.script("scripts/install-cron.sh");
    let units = install.args(["--daemon", "--print"]).prints();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join(".local/bin")).expect("a folder");
    let program = env!("CARGO_BIN_EXE_notify-fan-out");
    symlink(program, folder.path().join(".local/bin/notify-fan-out")).expect("a link");
    let root = fs::canonicalize(clone.path("")).expect("a path");
    let place = folder.path().to_str().expect("a path");
    let units = units.replace(root.to_str().expect("a path"), place);
    for name in ["@ROOT@", "@BINARY@", "@USER@", "@JOB@"] {
        assert!(!units.contains(name), "{units}");
    }
    let mut files = Vec::new();
    for unit in units.split("# /etc/systemd/system/").skip(1) {
        let (name, text) = unit.split_once('\n').expect("a name");
        fs::write(folder.path().join(name), text).expect("a file");
        files.push(name.to_owned());
    }
    let daemon = "notify-fan-out-daemon.service";
    assert_eq!(
        files,
        [daemon, "notify-prune.service", "notify-prune.timer"]
    );
    let exec = format!("\nExecStart={place}/.local/bin/notify-fan-out serve\n");
    assert!(units.contains(&exec), "{units}");

    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(folder.path().join(daemon));
        match command.output() {
            Ok(output) => {
                let stdout = String::from_utf8_lossy(&output.stdout);
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
                // Verifying looks at all units of the machine.
                assert!(!stderr.contains(daemon), "{arguments:?}: {stderr}");
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
        }
    };
    analyze(&["verify", "--man=no"]);
    analyze(&["security", "--no-pager", "--offline=yes", "--threshold=20"]);
}

/// Where systemd does not run, a dry run tells what would be done to the units and crontabs that are there.
#[test]
fn the_daemon_and_the_jobs_make_way_for_each_other() {
    let clone = Clone::new();
    // Units take no path with spaces.
    let root = clone.folder.path().join("clone");
    fs::rename(clone.path(""), &root).expect("a clone");
    let root = fs::canonicalize(root).expect("a path");
    let units = root.join("units");
    fs::create_dir(&units).expect("a folder");
    let unit = |name: &str, root: &Path| {
        let text = format!("[Service]\nWorkingDirectory={}\n", root.display());
        fs::write(units.join(format!("{name}.service")), text).expect("a file");
        if name != "notify-fan-out-daemon" {
            fs::write(units.join(format!("{name}.timer")), "").expect("a file");
        }
    };
    let table = format!(
        "* * * * * other\n# BEGIN notify-fan-out {0}\n* * * * * cd '{0}' && x run\n# END notify-fan-out {0}\n\
         * * * * * {0}/notify-fan-out deliver\n* * * * * {0}2/notify-fan-out run\n",
        root.display()
    );
    fs::write(root.join("table"), &table).expect("a file");
    let crontab = root.join("bin/crontab");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -l ] && cat '{}'\n",
        root.join("table").display()
    );
    fs::write(&crontab, script).expect("a program");
    fs::set_permissions(
        &crontab,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("a program");
    let dry_run = |arguments: &[&str]| {
        let mut install = Command::new(root.join("scripts/install-cron.sh"));
        install.env_clear().env("PATH", root.join("bin"));
        install.env("FANOUT_UNIT_DIR", &units);
        let output = install.args(arguments).arg("--dry-run").output();
        let output = output.expect("a script");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.success(), "{said}");
        let user = Command::new("id").arg("-un").prints();
        said.replace(root.to_str().expect("a path"), "…")
            .replace(&format!("crontab of {}", user.trim()), "crontab of USER")
            .lines()
            .filter(|line| !line.starts_with("  ") && !line.contains("DATABASE_URL"))
            .map(|line| line.to_owned() + "\n")
            .collect::<String>()
    };

    unit("notify-fan-out", &root);
    unit("notify-deliver", &root.with_file_name("clone2"));
    let said = dry_run(&["--daemon"]);
    insta::assert_snapshot!(said, @"
    would run: …/run.sh update
    would write …/units/notify-fan-out-daemon.service:
    would write …/units/notify-prune.service:
    would write …/units/notify-prune.timer:
    would run: systemctl daemon-reload
    would run: systemctl enable notify-fan-out-daemon.service
    would run: systemctl restart notify-fan-out-daemon.service
    would run: systemctl enable --now notify-prune.timer
    would run: systemctl disable --now notify-fan-out.timer
    would run: rm -f …/units/notify-fan-out.timer …/units/notify-fan-out.service
    • dry run: removed notify-fan-out.timer: the daemon does the work of run
    warning: notify-deliver.timer belongs to another clone and stays; on the same database it shares the work
    would make the crontab of USER:
    • dry run: removed the lines of this clone from the crontab of USER
    warning: a line in the crontab of USER stays and shares the work; remove it manually (crontab -e): * * * * * …/notify-fan-out deliver
    would run: systemctl daemon-reload
    ");
    assert_eq!(fs::read_to_string(root.join("table")).ok(), Some(table));

    unit("notify-fan-out-daemon", &root);
    insta::assert_snapshot!(dry_run(&["--systemd"]), @"
    would run: …/run.sh update
    would write …/units/notify-fan-out.service:
    would write …/units/notify-fan-out.timer:
    would write …/units/notify-deliver.service:
    would write …/units/notify-deliver.timer:
    would write …/units/notify-prune.service:
    would write …/units/notify-prune.timer:
    would run: systemctl daemon-reload
    would run: systemctl enable --now notify-fan-out.timer
    would run: systemctl enable --now notify-deliver.timer
    would run: systemctl enable --now notify-prune.timer
    would run: systemctl disable --now notify-fan-out-daemon.service
    would run: rm -f …/units/notify-fan-out-daemon.service
    would run: systemctl daemon-reload
    • dry run: removed notify-fan-out-daemon.service: the timers do its work
    ");
    let said = dry_run(&["install"]);
    assert!(said.contains("remove --daemon"), "{said}");
    insta::assert_snapshot!(dry_run(&["remove", "--daemon"]), @"
    would run: systemctl disable --now notify-fan-out-daemon.service
    would run: rm -f …/units/notify-fan-out-daemon.service
    would run: systemctl daemon-reload
    • dry run: removed the daemon
    ");
    let refused = Command::new(root.join("scripts/install-cron.sh"))
        .args(["--systemd", "--daemon"])
        .fails(2);
    assert!(refused.contains("exclude each other"), "{refused}");
}

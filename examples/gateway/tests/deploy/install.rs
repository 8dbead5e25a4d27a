//! `packaging/install.sh` on a system below a directory of the test, with a `systemctl` that writes down what it is called with.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::root;

const PROGRAM: &str = "usr/local/bin/edge-gateway";
const CONFIGURATION: &str = "etc/edge-gateway/gateway.toml";
const UNIT: &str = "etc/systemd/system/edge-gateway.service";
const PAGE: &str = "usr/local/share/man/man1/edge-gateway.1";

/// An unpacked archive beside a system with systemd.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for dir in ["archive/share/man/man1", "system/run/systemd/system", "bin"] {
            fs::create_dir_all(machine.dir.path().join(dir)).unwrap();
        }
        for (from, to) in [
            ("examples/deploy/systemd/edge-gateway.service", "edge-gateway.service"),
            ("packaging/edge-gateway/gateway.toml", "gateway.toml"),
            ("packaging/install.sh", "install.sh"),
        ] {
            fs::copy(root().join(from), machine.archive().join(to)).unwrap();
        }
        fs::write(machine.archive().join("share/man/man1/edge-gateway.1"), "page").unwrap();
        fs::write(machine.archive().join("machine"), "another one\n").unwrap();
        machine.script(
            "bin/systemctl",
            "echo \"$@\" >> \"$(dirname \"$0\")/calls\"; exec \"$(dirname \"$0\")/answer\" \"$@\"",
        );
        machine.script("bin/answer", "exit 0");
        machine.program("1", "exit 0");
        machine
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    fn system(&self, path: &str) -> PathBuf {
        self.dir.path().join("system").join(path)
    }

    /// Writes a script by another process: while a thread of this one forks, its child has every file open that is being written, and what is open
    /// for writing cannot be run.
    fn script(&self, path: &str, text: &str) {
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(self.dir.path().join(path)).stdin(Stdio::piped());
        let mut child = install.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// A program of this version; `check`: what it does when it is to check a configuration.
    fn program(&self, version: &str, check: &str) {
        let text = format!("case $1 in --version) echo edge-gateway {version} ;; check) {check} ;; esac");
        self.script("archive/edge-gateway", &text);
    }

    fn install(&self, options: &[&str]) -> Output {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.path().join("bin").display());
        let mut command = Command::new("sh");
        command
            .arg(self.archive().join("install.sh"))
            .arg("--root")
            .arg(self.dir.path().join("system"))
            .args(options);
        command.env("PATH", path).output().unwrap()
    }

    /// Version of the program that is installed; `None` without one.
    fn installed(&self) -> Option<String> {
        let output = Command::new(self.system(PROGRAM)).arg("--version").output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap().trim().replace("edge-gateway ", ""))
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.dir.path().join("bin/calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_is_installed_and_the_service_started() {
    let machine = Machine::new();
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.installed().as_deref(), Some("1"));
    assert_eq!((mode(&machine.system(PROGRAM)), mode(&machine.system(UNIT))), (0o755, 0o644));
    let unit = fs::read_to_string(machine.system(UNIT)).unwrap();
    let starts: Vec<&str> = unit.lines().filter(|line| line.starts_with("ExecStart")).collect();
    assert!(!unit.contains("/usr/bin/edge-gateway") && starts.len() == 2, "{starts:?}");
    assert!(starts.iter().all(|line| line.contains("/usr/local/bin/edge-gateway ")), "{starts:?}");
    let shipped = fs::read_to_string(root().join("packaging/edge-gateway/gateway.toml")).unwrap();
    assert_eq!(fs::read_to_string(machine.system(CONFIGURATION)).unwrap(), shipped);
    assert_eq!(fs::read_to_string(machine.system(PAGE)).unwrap(), "page");
    let calls = ["daemon-reload", "enable --quiet edge-gateway.service", "restart edge-gateway.service"];
    assert_eq!(machine.calls(), calls);
    assert!(said(&output).contains("edge-gateway 1 is installed"), "{}", said(&output));
}

#[test]
fn an_upgrade_keeps_the_configuration_and_one_with_mistakes_changes_nothing() {
    let machine = Machine::new();
    machine.install(&[]);
    fs::write(machine.system(CONFIGURATION), "mine").unwrap();
    machine.program("2", "grep -q mine \"$2\"");
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(machine.system(CONFIGURATION)).unwrap(), "mine");
    assert_eq!(machine.installed().as_deref(), Some("2"));
    machine.program("3", "exit 2");
    let calls = machine.calls().len();
    let output = machine.install(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("finds mistakes in "), "{}", said(&output));
    assert_eq!((machine.installed().as_deref(), machine.calls().len()), (Some("2"), calls));
}

#[test]
fn a_program_that_does_not_start_gives_way_to_the_one_before() {
    let machine = Machine::new();
    machine.script("bin/answer", "[ \"$1\" != restart ]");
    let output = machine.install(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the service does not start: journalctl"), "{}", said(&output));
    machine.script("bin/answer", "exit 0");
    machine.install(&[]);
    machine.program("2", "exit 0");
    machine.script(
        "bin/answer",
        &format!(
            "[ \"$1\" != restart ] || \"{}\" --version | grep -q ' 1'",
            machine.system(PROGRAM).display()
        ),
    );
    let output = machine.install(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the one before is in place again"), "{}", said(&output));
    assert_eq!(machine.installed().as_deref(), Some("1"));
    let calls = machine.calls();
    assert_eq!(calls[calls.len() - 2..], ["restart edge-gateway.service", "restart edge-gateway.service"]);
}

#[test]
fn what_does_not_run_here_and_what_a_package_holds_is_left_alone() {
    let machine = Machine::new();
    machine.script("archive/edge-gateway", "exit 127");
    let output = machine.install(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("does not run here: it is for another one, and this is "),
        "{}",
        said(&output)
    );
    machine.program("1", "exit 0");
    let packaged = machine.system("usr/lib/systemd/system");
    fs::create_dir_all(&packaged).unwrap();
    fs::write(packaged.join("edge-gateway.service"), "").unwrap();
    for options in [&[][..], &["--remove"]] {
        let output = machine.install(options);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("use apt"), "{}", said(&output));
    }
    assert_eq!((machine.installed(), machine.calls().len()), (None, 0));
    assert_eq!(machine.install(&["--help"]).status.code(), Some(2));
}

#[test]
fn a_removal_keeps_configuration_and_queue() {
    let machine = Machine::new();
    machine.install(&[]);
    let queue = machine.system("var/lib/edge-gateway/queue.ring");
    fs::create_dir_all(queue.parent().unwrap()).unwrap();
    fs::write(&queue, "messages").unwrap();
    machine.install(&[]);
    let output = machine.install(&["--remove"]);
    assert!(output.status.success(), "{}", said(&output));
    for path in [PROGRAM, &format!("{PROGRAM}.before"), UNIT, PAGE] {
        assert!(!machine.system(path).exists(), "{path}");
    }
    assert!(machine.system(CONFIGURATION).exists() && queue.exists());
    let calls = machine.calls();
    assert_eq!(calls[calls.len() - 2..], ["disable --now edge-gateway.service", "daemon-reload"]);
}

/// A system that is being made has no systemd that runs.
#[test]
fn without_systemd_it_is_told_how_to_start() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.system("run")).unwrap();
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("/usr/local/bin/edge-gateway run /etc/edge-gateway/gateway.toml --state"),
        "{}",
        said(&output)
    );
    assert!(machine.calls().is_empty());
}

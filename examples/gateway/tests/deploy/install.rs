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
        for dir in ["archive/share/man/man1", "system", "bin"] {
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
        machine.program("1");
        machine
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    fn system(&self, path: &str) -> PathBuf {
        self.dir.path().join("system").join(path)
    }

    fn script(&self, path: &str, text: &str) {
        write_script(&self.dir.path().join(path), text);
    }

    /// A program of this version.
    fn program(&self, version: &str) {
        self.script("archive/edge-gateway", &format!("echo edge-gateway {version}"));
    }

    fn install(&self, options: &[&str]) -> Output {
        self.install_by(Some(self.dir.path().join("bin/systemctl")), options)
    }

    /// With this command in place of systemctl.
    fn install_by(&self, systemctl: Option<PathBuf>, options: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.arg(self.archive().join("install.sh")).arg("--root").arg(self.dir.path().join("system"));
        command.env_remove("SYSTEMCTL").envs(systemctl.map(|path| ("SYSTEMCTL", path)));
        command.args(options).output().unwrap()
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

/// Writes a script by another process: while a thread of this one forks, its child has every file open that is being written, and what is open for
/// writing cannot be run.
pub(super) fn write_script(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut child = install.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
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
    let calls = [
        "daemon-reload",
        "enable --quiet edge-gateway.service",
        "--quiet is-enabled edge-gateway.service",
        "restart edge-gateway.service",
    ];
    assert_eq!(machine.calls(), calls);
    assert!(said(&output).contains("edge-gateway 1 is installed"), "{}", said(&output));
}

#[test]
fn an_upgrade_keeps_the_configuration_and_a_service_that_is_disabled() {
    let machine = Machine::new();
    machine.install(&[]);
    fs::write(machine.system(CONFIGURATION), "mine").unwrap();
    machine.program("2");
    let calls = machine.calls().len();
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(machine.system(CONFIGURATION)).unwrap(), "mine");
    assert_eq!(machine.installed().as_deref(), Some("2"));
    let asked = ["daemon-reload", "--quiet is-enabled edge-gateway.service", "restart edge-gateway.service"];
    assert_eq!(machine.calls()[calls..], asked);
    machine.program("3");
    machine.script("bin/answer", "[ \"$2\" != is-enabled ]");
    let calls = machine.calls().len();
    let output = machine.install(&[]);
    assert!(
        output.status.success() && said(&output).contains("is disabled, and is left so"),
        "{}",
        said(&output)
    );
    assert_eq!(
        (machine.installed().as_deref(), &machine.calls()[calls..]),
        (Some("3"), &asked.map(str::to_owned)[..2])
    );
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
    machine.program("2");
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
    let last = ["restart edge-gateway.service", "daemon-reload", "restart edge-gateway.service"];
    assert_eq!(calls[calls.len() - 3..], last);
    assert!(!machine.system(&format!("{UNIT}.before")).exists() && machine.system(UNIT).exists());
}

/// By a line that drops, or the power: what is called again is told as if nothing had been.
#[test]
fn what_was_interrupted_is_gone_on_with() {
    let machine = Machine::new();
    machine.script("bin/answer", "[ \"$1\" != enable ] || kill -9 $PPID");
    assert!(!machine.install(&[]).status.success());
    machine.script("bin/answer", "exit 0");
    let calls = machine.calls().len();
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    let calls = machine.calls()[calls..].to_vec();
    assert!(calls.iter().any(|call| call == "enable --quiet edge-gateway.service"), "{calls:?}");

    machine.program("2");
    machine.script("bin/answer", "[ \"$2\" != is-enabled ] || kill -9 $PPID");
    assert!(!machine.install(&[]).status.success());
    assert_eq!(machine.installed().as_deref(), Some("2"));
    let is_1 = format!("\"{}\" --version | grep -q ' 1'", machine.system(PROGRAM).display());
    machine.script("bin/answer", &format!("[ \"$1\" != restart ] || {is_1}"));
    let output = machine.install(&[]);
    assert!(said(&output).contains("the one before is in place again"), "{}", said(&output));
    assert_eq!(machine.installed().as_deref(), Some("1"), "what ran before the upgrade");
    let units = fs::read_dir(machine.system(UNIT).parent().unwrap()).unwrap();
    let left: Vec<_> = units.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["edge-gateway.service"], "a later one is told as an upgrade");
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
    machine.program("1");
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

/// A root whose files are private by default makes folders that the service's user reads all the same.
#[test]
fn the_service_s_user_reads_what_is_installed_whatever_the_umask_is() {
    let machine = Machine::new();
    let (script, system) = (machine.archive().join("install.sh"), machine.system(""));
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec sh \"$0\" --root \"$1\""]).args([script, system]);
    let output = command.env("SYSTEMCTL", machine.dir.path().join("bin/systemctl")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    for folder in ["etc/edge-gateway", "etc/systemd/system", "usr/local/bin", "usr/local/share/man/man1"] {
        assert_eq!(mode(&machine.system(folder)), 0o755, "{folder}");
    }
}

/// The link that the removal of a package leaves is no installation.
#[test]
fn what_a_removed_package_masked_is_installed_anew() {
    let machine = Machine::new();
    let unit = machine.system(UNIT);
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/null", &unit).unwrap();
    let output = machine.install(&[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(fs::symlink_metadata(&unit).unwrap().is_file());
    assert!(machine.calls().iter().any(|call| call == "enable --quiet edge-gateway.service"));

    fs::remove_file(&unit).unwrap();
    std::os::unix::fs::symlink("/dev/null", &unit).unwrap();
    let calls = machine.calls().len();
    assert!(machine.install(&["--remove"]).status.success());
    assert_eq!(machine.calls()[calls..], ["daemon-reload"]);
    assert!(fs::symlink_metadata(&unit).unwrap().is_symlink() && machine.installed().is_none());
}

/// The package's own preinst names this way out.
#[test]
fn what_hides_a_package_is_removed_beside_it() {
    let machine = Machine::new();
    machine.install(&[]);
    let packaged = machine.system("usr/lib/systemd/system/edge-gateway.service");
    fs::create_dir_all(packaged.parent().unwrap()).unwrap();
    fs::write(&packaged, "").unwrap();
    assert!(said(&machine.install(&[])).contains("use apt"));
    let output = machine.install(&["--remove"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("systemctl enable --now edge-gateway"), "{}", said(&output));
    assert!(!machine.system(UNIT).exists() && machine.installed().is_none() && packaged.exists());
    // A copy that an administrator changed is not this script's.
    fs::write(machine.system(UNIT), "ExecStart=/usr/bin/edge-gateway run x\n").unwrap();
    assert!(said(&machine.install(&["--remove"])).contains("use apt") && machine.system(UNIT).exists());
}

/// This machine's systemd is none of a system's that is being made.
#[test]
fn in_an_image_nothing_is_started() {
    let machine = Machine::new();
    let output = machine.install_by(None, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(" enable edge-gateway.service"), "{}", said(&output));
    assert_eq!(machine.installed().as_deref(), Some("1"));
    assert!(machine.calls().is_empty());
}

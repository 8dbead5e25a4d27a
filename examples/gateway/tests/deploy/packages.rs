//! Units and maintainer scripts of the Debian packages: room that a unit leaves, and what an installation and a removal do.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use edge_bridge::listener::Config;

use super::install::write_script;
use super::{UNITS, figure, read, root};

const MIB: f64 = 1024.0 * 1024.0;

/// Memory that mqtt-bridge may need as the local broker of a file that sets no limit, in MiB, by the sum of docs/guide/sizing.md.
fn mqtt_bridge_mib() -> f64 {
    let clients = Config::default();
    let bytes = |bytes: usize| bytes as f64 / MIB;
    let (program, to_the_queue, queues, to_the_hub) = (8.0, 10.0, 8.0, 8.0);
    let sensors = 2.0 * bytes(clients.max_memory) + bytes(6 * 1024 * clients.max_connections);
    program + sensors + bytes(clients.max_saved_bytes) + to_the_queue + queues + to_the_hub
}

/// The kernel counts buffers of sockets besides, see docs/guide/sizing.md.
#[test]
fn the_unit_leaves_room_for_the_buffers_of_sockets() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
    let output = check.arg("check").arg(root().join("packaging/edge-gateway/gateway.toml")).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, needed) in
        [("edge-gateway", figure(&printed, "RAM at most")), ("mqtt-bridge", mqtt_bridge_mib())]
    {
        let unit = read(root().join(format!("examples/deploy/systemd/{name}.service")));
        let limit = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")?.strip_suffix('M')).unwrap();
        let limit = limit.parse::<f64>().unwrap();
        assert!(needed + 32.0 <= limit, "{name}: {limit} MiB, and it may need {needed} MiB");
    }
}

/// A purge deletes no directory that has something in it, whatever it is.
#[test]
fn no_script_of_a_package_deletes_what_may_be_messages() {
    for name in UNITS {
        let there = fs::read_dir(root().join("packaging").join(name)).unwrap();
        let scripts = there.map(|file| file.unwrap().path()).filter(|path| path.extension().is_none());
        for path in scripts {
            let (text, script) = (read(&path), path.display());
            assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{script}");
            let deletes = |line: &&str| {
                line.trim_start().starts_with("rm ") || line.contains("-delete") || line.contains("userdel")
            };
            assert_eq!(text.lines().find(deletes), None, "{script}");
        }
        purge_keeps_what_is_there(name);
    }
}

fn purge_keeps_what_is_there(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let script = read(root().join(format!("packaging/{name}/postrm")));
    let script = script.replace(&format!("state=/var/lib/{name}"), &format!("state={}", state.display()));
    let script =
        script.replace("deb-systemd-helper", "no-such-program").replace("/run/systemd/system", "/nowhere");
    fs::write(dir.path().join("postrm"), script).unwrap();
    let purge = || {
        let output = Command::new("sh").arg(dir.path().join("postrm")).arg("purge").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    fs::create_dir(&state).unwrap();
    fs::write(state.join("queue.ring"), "messages").unwrap();
    assert!(purge().contains("is kept"));
    assert_eq!(read(state.join("queue.ring")), "messages");
    fs::remove_file(state.join("queue.ring")).unwrap();
    assert_eq!(purge(), "");
    assert!(!state.exists());
}

/// A directory with commands of a Debian that write down what they are called with.
fn debian() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["deb-systemd-helper", "deb-systemd-invoke", "systemctl", "getent"] {
        write_script(&dir.path().join(name), "echo \"${0##*/} $*\" >> \"${0%/*}/calls\"");
    }
    dir
}

/// Runs a package's script, with these commands and paths in the place of the system's. Returns it and the calls.
fn run_script(
    debian: &Path,
    script: &str,
    paths: &[(&str, &Path)],
    arguments: &[&str],
) -> (Output, Vec<String>) {
    let mut text = read(root().join("packaging").join(script));
    for (path, instead) in paths {
        assert!(text.contains(path), "{script}: {path}");
        text = text.replace(path, &instead.display().to_string());
    }
    fs::write(debian.join("script"), text).unwrap();
    let _ = fs::remove_file(debian.join("calls"));
    let path = format!("{}:{}", debian.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    let output = command.arg(debian.join("script")).args(arguments).env("PATH", path).output().unwrap();
    let calls = fs::read_to_string(debian.join("calls")).unwrap_or_default();
    (output, calls.lines().map(str::to_owned).collect())
}

/// `try-restart` passes over one that was removed and comes back; `deb-systemd-invoke` leaves alone what is disabled.
#[test]
fn a_service_that_was_removed_starts_when_it_is_installed_again() {
    for name in UNITS {
        let debian = debian();
        let script = format!("{name}/postinst");
        let systemd = [("/run/systemd/system", debian.path())];
        let (output, calls) = run_script(debian.path(), &script, &systemd, &["configure", "0.1.0"]);
        assert!(output.status.success(), "{name}: {output:?}");
        let restart = format!("deb-systemd-invoke restart {name}.service");
        assert_eq!(calls.last(), Some(&restart), "{name}: {calls:?}");
        // At the first installation the gateway starts; the bridge has no hub yet.
        let (_, calls) = run_script(debian.path(), &script, &systemd, &["configure", ""]);
        let starts = calls.iter().filter(|call| call.starts_with("deb-systemd-invoke ")).collect::<Vec<_>>();
        let start = format!("deb-systemd-invoke start {name}.service");
        assert_eq!(starts, if name == "edge-gateway" { vec![&start] } else { vec![] }, "{name}");
    }
}

/// The archive's unit would win over the package's, and the old program go on for ever.
#[test]
fn a_package_does_not_go_behind_an_installation_of_the_archive() {
    let debian = debian();
    let unit = debian.path().join("unit");
    let paths = [("/etc/systemd/system/edge-gateway.service", unit.as_path())];
    let run = |arguments: &[&str]| run_script(debian.path(), "edge-gateway/preinst", &paths, arguments).0;
    assert!(run(&["install"]).status.success(), "nothing is there");
    let shipped = read(root().join("examples/deploy/systemd/edge-gateway.service"));
    fs::write(&unit, &shipped).unwrap();
    assert!(run(&["install"]).status.success(), "changed with `systemctl edit --full`");
    fs::write(&unit, shipped.replace("/usr/bin/edge-gateway", "/usr/local/bin/edge-gateway")).unwrap();
    for arguments in [&["install"][..], &["install", "0.1.0", "0.2.0"], &["upgrade", "0.1.0", "0.2.0"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("install.sh --remove"), "{said}");
    }
    assert!(run(&["abort-upgrade", "0.2.0"]).status.success());
    fs::remove_file(&unit).unwrap();
    std::os::unix::fs::symlink("/dev/null", &unit).unwrap();
    assert!(run(&["install"]).status.success(), "masked by a removal");
}

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway diag`: what is in the archive, with and without a running gateway, and that no secret and no payload is.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use support::gateway::{BINARY, Gateway};
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ALL: [&str; 7] =
    ["about.txt", "gateway.toml", "check.txt", "status.json", "metrics.txt", "state.txt", "machine.txt"];

fn diag(arguments: &[&Path], output: &Path) -> Output {
    Command::new(BINARY).arg("diag").args(arguments).arg("-o").arg(output).output().unwrap()
}

fn tar(arguments: &[&str], archive: &Path) -> String {
    let output = Command::new("tar").arg(arguments[0]).arg(archive).args(&arguments[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names of the parts.
fn names(archive: &Path) -> Vec<String> {
    let names = tar(&["-tf"], archive);
    names.lines().map(|name| name.strip_prefix("edge-gateway-diag/").unwrap().to_owned()).collect()
}

fn part(archive: &Path, name: &str) -> String {
    tar(&["-xOf", &format!("edge-gateway-diag/{name}")], archive)
}

/// Whatever is written or printed.
#[track_caller]
fn assert_without_secrets(archive: &Path, output: &Output) {
    for bytes in [&fs::read(archive).unwrap(), &output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let found = text
            .find("s3cret")
            .map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>());
        assert_eq!(found, None);
    }
}

#[test]
fn of_a_running_gateway_it_has_everything_but_secrets_and_payloads() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("hub.password", "s3cret-hub\n");
    write("proxy.password", "s3cret-proxy\n");
    write("status.token", "s3cret-token-of-24-characters\n");
    let (listen, nowhere) = (free_port(), free_port());
    let mut gateway = Gateway::new(
        dir.path(),
        &format!(
            "# s3cret-comment\n[gateway]\nid = \"site7\"\nstate = \"state\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{nowhere}\"\nuser = \"${{HUB_USER}}\"\npassword_file = \"hub.password\"\n\
            proxy = \"http://u@{nowhere}\"\nproxy_password_file = \"proxy.password\"\n[status]\ntoken_file = \"status.token\"\n[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n"
        ),
    );
    gateway.env.push(("HUB_USER", "operator".to_owned()));
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 10);
    (0..5).for_each(|n| sensor.publish("plant/x", &format!("s3cret-payload-{n}")));
    sensor.settle(0, 20);

    let (file, archive) = (dir.path().join("gateway.toml"), dir.path().join("diag.tar"));
    let diag = |archive: &Path| {
        let mut command = Command::new(BINARY);
        command.arg("diag").arg(&file).arg("--output").arg(archive).env("HUB_USER", "operator");
        command.output().unwrap()
    };
    let output = diag(&archive);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&archive), ALL);
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(part(&archive, "gateway.toml").contains("password_file = \"hub.password\""));
    assert!(part(&archive, "status.json").contains("\"gateway\":\"site7\""));
    assert!(part(&archive, "metrics.txt").contains("edge_queue_messages 5\n"));
    assert!(part(&archive, "state.txt").contains("queue.ring"));
    let machine = part(&archive, "machine.txt");
    assert!(
        machine.contains("kernel        Linux version") && machine.contains("bytes are free"),
        "{machine}"
    );
    let about = part(&archive, "about.txt");
    assert!(about.starts_with(concat!("edge-gateway ", env!("CARGO_PKG_VERSION"), "\n")), "{about}");
    assert!(!about.contains("left out"), "{about}");
    assert_without_secrets(&archive, &output);

    // A secret that is typed in the place of its path is in no need of the running gateway.
    let mistaken = fs::read_to_string(&file).unwrap().replace("\"hub.password\"", "\"s3cret-x\"");
    fs::write(&file, mistaken).unwrap();
    gateway.signal("HUP");
    let refused = "the changed configuration is refused";
    wait_until("it is refused", 20, || gateway.log().contains(refused));
    let refused = dir.path().join("refused.tar");
    let status = || {
        let _ = fs::remove_file(&refused);
        diag(&refused);
        part(&refused, "status.json")
    };
    wait_until("the status has the key", 20, || status().contains("hub.password_file: …"));
    let _ = fs::remove_file(&refused);
    let output = diag(&refused);
    assert!(
        part(&refused, "status.json").contains("hub.password_file: …"),
        "{}",
        part(&refused, "status.json")
    );
    assert_without_secrets(&refused, &output);
}

#[test]
fn without_a_gateway_and_with_a_wrong_configuration_it_has_the_rest_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, archive) = (dir.path().join("gateway.toml"), dir.path().join("diag.tar"));
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::write(dir.path().join("state/queue.ring"), "s3cret-payload").unwrap();
    symlink("/etc/shadow", dir.path().join("state/link")).unwrap();
    fs::write(
        &file,
        "[gateway]\nid = \"g\"\nstate = \"state\"\n[hub]\nurl = \"mqtts://u:s3cret-1@hub\"\npassword = \"s3cret-2\" # s3cret-3\nkey = \"s3cret-4\"\npassword_file = \"s3cret-5\"\nwindow = \"many\"\n\
         proxy = \"http://u:s3cret-7@proxy:1\"\n[mqtt]\nx = \"s3cret-8\"\n",
    )
    .unwrap();
    let output = diag(&[&file], &archive);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&archive), ["about.txt", "gateway.toml", "check.txt", "state.txt", "machine.txt"]);
    let about = part(&archive, "about.txt");
    assert!(about.contains("status.json   left out: no running gateway answers at"), "{about}");
    assert!(about.contains("metrics.txt   left out: "), "{about}");
    assert!(String::from_utf8(output.stdout.clone()).unwrap().starts_with(&about));
    let listed = part(&archive, "state.txt");
    assert!(listed.contains("queue.ring") && listed.contains("link"), "{listed}");
    assert!(part(&archive, "check.txt").contains("password"));
    assert_without_secrets(&archive, &output);

    fs::write(&file, "[hub\npassword = \"s3cret\"\n").unwrap();
    let again = dir.path().join("again.tar");
    let output = diag(&[&file, Path::new("--state"), &dir.path().join("state")], &again);
    assert_eq!(names(&again), ["about.txt", "check.txt", "state.txt", "machine.txt"]);
    assert_without_secrets(&again, &output);
}

#[test]
fn nothing_that_is_there_is_replaced_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, link) = (dir.path().join("victim"), dir.path().join("diag.tar"));
    fs::write(&victim, "as it was").unwrap();
    let dangling = dir.path().join("dangling.tar");
    symlink(&victim, &link).unwrap();
    symlink(dir.path().join("new"), &dangling).unwrap();
    for target in [&victim, &link, &dangling, &dir.path().join("no/directory.tar")] {
        let output = diag(&[Path::new("--state"), dir.path()], target);
        assert_eq!(output.status.code(), Some(1), "{target:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    assert!(!dir.path().join("new").exists());
    let usage = Command::new(BINARY).args(["diag", "gateway.toml"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2), "no target");
}

/// By the name, as `tar caf` does it: what is called so is unpacked so.
#[test]
fn a_name_that_ends_in_gz_or_tgz_is_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let made = |name: &str| {
        let archive = dir.path().join(name);
        assert_eq!(diag(&[Path::new("--state"), &state], &archive).status.code(), Some(0), "{name}");
        archive
    };
    let plain = made("a.tar");
    for name in ["a.tar.gz", "a.tgz", "A.TGZ"] {
        let archive = made(name);
        let (folder, mode) =
            (dir.path().join(format!("of {name}")), fs::metadata(&archive).unwrap().permissions().mode());
        fs::create_dir(&folder).unwrap();
        let unpacked = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&folder).output().unwrap();
        assert!(unpacked.status.success(), "{name}: {}", String::from_utf8_lossy(&unpacked.stderr));
        let listed = fs::read_to_string(folder.join("edge-gateway-diag/state.txt")).unwrap();
        assert_eq!((listed, mode & 0o777), (part(&plain, "state.txt"), 0o600), "{name}");
        assert_eq!(names(&archive), names(&plain), "{name}");
        assert!(fs::metadata(&archive).unwrap().len() < fs::metadata(&plain).unwrap().len() / 2, "{name}");
    }
    assert_eq!(fs::read(&plain).unwrap()[257..262], *b"ustar", "a tar without compression");
}

/// A part has 256 KiB at most, whatever there is.
#[test]
fn it_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state, archive) =
        (dir.path().join("gateway.toml"), dir.path().join("state"), dir.path().join("diag.tar"));
    fs::create_dir(&state).unwrap();
    let name = "n".repeat(240);
    (0..1_100).for_each(|n| fs::write(state.join(format!("{name}{n}")), "").unwrap());
    let routes: String =
        (0..20_000).map(|n| format!("[[route]]\nmatch = \"plant/{n}/#\"\nto = \"up/{n}/\"\n")).collect();
    fs::write(&file, format!("[gateway]\nid = \"g\"\nstate = \"state\"\n{routes}")).unwrap();
    assert_eq!(diag(&[&file], &archive).status.code(), Some(0));
    assert!(fs::metadata(&archive).unwrap().len() < 2 << 20);
    let about = part(&archive, "about.txt");
    assert!(about.contains("gateway.toml  is in it, its beginning alone"), "{about}");
    assert_eq!(part(&archive, "gateway.toml").len(), 256 * 1024);
    assert!(part(&archive, "state.txt").ends_with("\n100 more\n"));
}

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Files that a mosquitto.conf names, and the file itself, as `mqtt-bridge --check` reads them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Exit code, and all that was said.
fn check(file: &Path) -> (Option<i32>, String) {
    // One that waits is ended with another code.
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_mqtt-bridge"), "--check", "--mosquitto-conf"]).arg(file);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.code(), said.concat())
}

/// A pipe that nobody writes is not waited for, and what never ends or is too large is not read.
#[test]
fn only_files_of_a_configurations_size_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    fs::File::create(at("large")).unwrap().set_len(1 << 40).unwrap();
    fs::write(at("key"), "k").unwrap();
    let conf = at("m.conf");
    for (file, why) in [
        (at("pipe"), "not a file, but a pipe"),
        ("/dev/zero".into(), "not a file, but a device"),
        ("/proc/kmsg".into(), "not a file, but a part of /proc"),
        (at("large"), "1099511627776 bytes, at most 1048576 are read"),
    ] {
        let (name, key) = (file.display(), at("key"));
        let refused = format!("{name}: {why}");
        let key = key.display();
        for text in [
            format!("connection a\naddress h:1\ntopic # out\nbridge_cafile {name}\n"),
            format!(
                "connection a\naddress h:1\ntopic # out\nbridge_cafile {key}\nbridge_certfile {key}\nbridge_keyfile {name}\n"
            ),
            format!(
                "listener 1883 127.0.0.1\npassword_file {name}\nconnection a\naddress h:1\ntopic # out\n"
            ),
            format!("listener 1883 127.0.0.1\nacl_file {name}\nconnection a\naddress h:1\ntopic # out\n"),
            format!(
                "listener 8883 127.0.0.1\nallow_anonymous true\ncertfile {name}\nkeyfile {key}\nconnection a\naddress h:1\ntopic # out\n"
            ),
        ] {
            fs::write(&conf, &text).unwrap();
            let (code, said) = check(&conf);
            assert_eq!(code, Some(2), "{text}\n{said}");
            assert!(said.contains(&refused), "{text}\n{said}");
        }
        let (code, said) = check(&file);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&refused), "{said}");
    }
}

/// It was: a name of half a megabyte, several times.
#[test]
fn a_name_without_end_is_not_printed_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("m.conf");
    let name = "n".repeat(250_000);
    fs::write(&conf, format!("{name} x\nconnection {name}\nconnection {name}\ntopic # {name}\n")).unwrap();
    let (code, said) = check(&conf);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("the name is too long for a directory") && said.contains("n: no address"),
        "{said}"
    );
    assert!(said.len() < 50_000, "{}", said.len());
}

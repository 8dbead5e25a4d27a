//! Cases of the gateway's own certificate and key, as people make and copy them: taken, or refused by `check` and by a first start with the same words.

use std::fs;
use std::process::{Command, Stdio};

use super::Outcome;
use super::materials::{Authorities, Certificate, GOOD, Key};
use super::support::gateway::{BINARY, Gateway};
use super::support::mosquitto::command;
use super::support::{free_port, wait_until};

use Outcome::{LetIn, Refused};

/// Name, lines of a shell that make `own.crt` and `own.key` of good files, and what becomes of them.
const CASES: [(&str, &str, Outcome); 22] = [
    ("right", "cp good.crt own.crt; cp good.key own.key", LetIn),
    ("sec-1", "cp good.crt own.crt; openssl ec -in good.key -out own.key", LetIn),
    (
        "sec-1-with-parameters",
        "cp good.crt own.crt; openssl ecparam -name prime256v1 > own.key; openssl ec -in good.key >> own.key",
        LetIn,
    ),
    ("rsa-pkcs-1", "cp rsa.crt own.crt; openssl rsa -in rsa.key -traditional -out own.key", LetIn),
    ("both-in-one", "cat good.crt good.key > own.crt; cp own.crt own.key", LetIn),
    ("text-before", "openssl x509 -in good.crt -text -out own.crt; cp good.key own.key", LetIn),
    ("line-ends-of-windows", "sed 's/$/\\r/' good.crt > own.crt; sed 's/$/\\r/' good.key > own.key", LetIn),
    ("root-behind", "cat good.crt plant.crt > own.crt; cp good.key own.key", LetIn),
    (
        "other-key",
        "cp good.crt own.crt; cp rsa.key own.key",
        Refused("own.key: the key does not belong to the first certificate in "),
    ),
    (
        "other-key-of-the-kind",
        "cp good.crt own.crt; cp plant.key own.key",
        Refused("own.key: the key does not belong to the first certificate in "),
    ),
    (
        "authority-first",
        "cat plant.crt good.crt > own.crt; cp good.key own.key",
        Refused("own.key: the key does not belong to the first certificate in "),
    ),
    (
        "encrypted",
        "cp good.crt own.crt; openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in good.key -out own.key",
        Refused("own.key: the key is encrypted: write it without a passphrase"),
    ),
    (
        "encrypted-formerly",
        "cp rsa.crt own.crt; openssl rsa -in rsa.key -traditional -aes128 -passout pass:secret -out own.key",
        Refused("own.key: the key is encrypted: write it without a passphrase"),
    ),
    (
        "key-in-der",
        "cp good.crt own.crt; openssl pkcs8 -topk8 -nocrypt -in good.key -outform DER -out own.key",
        Refused("own.key: no private key in PEM"),
    ),
    (
        "certificate-in-der",
        "openssl x509 -in good.crt -outform DER -out own.crt; cp good.key own.key",
        Refused("own.crt: no certificate in it"),
    ),
    ("exchanged", "cp good.key own.crt; cp good.crt own.key", Refused("own.key: no private key in PEM")),
    (
        "request",
        "openssl req -new -key good.key -subj /CN=a -out own.crt; cp good.key own.key",
        Refused("own.crt: no certificate in it"),
    ),
    ("empty", ": > own.crt; cp good.key own.key", Refused("own.crt: no certificate in it")),
    (
        "half",
        "head -c 200 good.crt > own.crt; cp good.key own.key",
        Refused("own.crt: a part of it has no end (`-----END`): is it the whole file?"),
    ),
    (
        "p-521",
        "cp p521.crt own.crt; cp p521.key own.key",
        Refused("own.key: a key on the curve P-521, which is not supported"),
    ),
    (
        "rsa-1024",
        "cp rsa1024.crt own.crt; cp rsa1024.key own.key",
        Refused("own.key: a key that is not taken: make one on P-256"),
    ),
    (
        "version-1",
        "cp v1.crt own.crt; cp v1.key own.key",
        Refused("own.crt: the certificate is of X.509 version 1, which is not taken"),
    ),
];

/// Returns whether a client at the listener, which judges its certificate, is served.
fn is_served(authorities: &Authorities, port: u16) -> bool {
    let mut client = command("mosquitto_pub");
    client.args(["-h", "localhost", "-p", &port.to_string(), "-q", "1", "-t", "a", "-m", "x", "--cafile"]);
    client.arg(authorities.file("plant.crt")).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn own_files_are_taken_as_people_make_them_or_refused_with_the_file_and_the_reason() {
    let authorities = Authorities::new();
    for (name, key) in [
        ("good", Key::P256),
        ("rsa", Key::Rsa(2048)),
        ("rsa1024", Key::Rsa(1024)),
        ("p521", Key::P521),
        ("v1", Key::Version1),
    ] {
        authorities.write(name, &Certificate { key, ..GOOD });
    }
    let dir = authorities.file("");
    for (name, lines, outcome) in CASES {
        let made = Command::new("sh").args(["-ec", lines]).current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        Command::new("chmod").args(["600", "own.key"]).current_dir(&dir).status().unwrap();
        let secure = free_port();
        let files = "cert = \"own.crt\"\nkey = \"own.key\"";
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"{secure}\"\n{files}\nallow_anonymous = true\n\
             [hub]\nurl = \"mqtts://localhost:9\"\nca = \"plant.crt\"\n{files}\n[[route]]\nmatch = \"#\"\n"
        );
        let mut gateway = Gateway::new(&dir, &config);
        gateway.state = dir.join(name);
        let checked = Command::new(BINARY).arg("check").arg(dir.join("gateway.toml")).output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        let Refused(words) = outcome else {
            assert_eq!(checked.status.code(), Some(0), "{name}: {said}");
            gateway.start();
            assert!(is_served(&authorities, secure.port()), "{name}: {}", gateway.log());
            assert_eq!(gateway.terminate().0.code(), Some(0), "{name}");
            continue;
        };
        assert_eq!(checked.status.code(), Some(2), "{name}: {said}");
        for side in ["error: hub.", "error: local."] {
            let is_told = said.lines().any(|line| line.starts_with(side) && line.contains(words));
            assert!(is_told, "{name}, {side}: {said}");
        }
        fs::write(dir.join("gateway.log"), "").unwrap();
        gateway.start_unready();
        wait_until(&format!("{name}: the start is refused"), 20, || gateway.exit_code() == Some(2));
        assert!(gateway.log().contains(words), "{name}: {}", gateway.log());
    }
}

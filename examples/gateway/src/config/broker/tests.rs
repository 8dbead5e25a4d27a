//! Tests of the way to a local broker.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::{Config, Local};

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(vec!["g".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = authority.self_signed(&key).unwrap();
        for (name, text) in
            [("ca.crt", authority.pem()), ("own.crt", cert.pem()), ("own.key", key.serialize_pem())]
        {
            site.write(name, &text);
        }
        site.write("password", "secret\n");
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, local: &str) -> (Option<Config>, String) {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://localhost:9\"\n[[route]]\nmatch = \"a/#\"\n"
        );
        let env = |name: &str| (name == "DIR").then(|| self.0.path().display().to_string());
        match Config::parse(&self.0.path().join("gateway.toml"), &text, &env) {
            Ok((config, findings)) => (Some(config), findings.to_string()),
            Err(findings) => (None, findings.to_string()),
        }
    }

    fn way(&self, local: &str) -> (String, u16, BrokerWay) {
        let (config, said) = self.read(local);
        match config.unwrap_or_else(|| panic!("{said}")).local {
            Local::Broker { host, port, way, .. } => (host, port, *way),
            Local::Listen { .. } => panic!("broker expected"),
        }
    }
}

const LOGIN: &str = "broker_user = \"g\"\nbroker_password_file = \"${DIR}/password\"\n";
const CERTIFICATES: &str = "broker_ca = \"ca.crt\"\nbroker_cert = \"own.crt\"\nbroker_key = \"own.key\"\n";

#[test]
fn an_address_is_written_in_three_ways() {
    let site = Site::new();
    for (address, host, port, tls) in [
        ("10.0.0.1:1884", "10.0.0.1", 1884, false),
        ("mqtt://10.0.0.1", "10.0.0.1", 1883, false),
        ("mqtt://broker:1884/", "broker", 1884, false),
        ("mqtts://broker", "broker", 8883, true),
        ("mqtts://[::1]:8884", "[::1]", 8884, true),
    ] {
        let authority = if tls { "broker_ca = \"ca.crt\"\n" } else { "" };
        let way = site.way(&format!("broker = \"{address}\"\n{authority}"));
        assert_eq!((way.0.as_str(), way.1, way.2.tls.is_some()), (host, port, tls), "{address}");
        assert!(way.2.credentials.is_none(), "{address}");
    }
    for address in ["ssl://broker:1", "u:secret@broker:1", "mqtts://broker:x", "mqtts://"] {
        let (config, said) = site.read(&format!("broker = \"{address}\"\nbroker_ca = \"ca.crt\""));
        let is_told = said.contains("error: local.broker:") && !said.contains("secret@");
        assert!(config.is_none() && is_told, "{address}: {said}");
    }
}

#[test]
fn login_and_files_are_those_of_the_keys() {
    let site = Site::new();
    let name = "broker_tls_server_name = \"broker.example\"\n";
    let (_, _, way) = site.way(&format!("broker = \"mqtts://10.0.0.1\"\n{LOGIN}{CERTIFICATES}{name}"));
    let credentials = way.credentials.unwrap();
    assert_eq!((credentials.user.as_str(), &credentials.password[..]), ("g", &b"secret"[..]));
    let tls = way.tls.unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("broker.example"));
    let path = |name: &str| Some(site.0.path().join(name));
    let files = &tls.files;
    assert_eq!((&files.ca, &files.cert, &files.key), (&path("ca.crt"), &path("own.crt"), &path("own.key")));
}

#[test]
fn what_is_wrong_is_told_with_the_key() {
    let site = Site::new();
    site.write("other.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let (plain, secure) = ("broker = \"10.0.0.1:1883\"\n", "broker = \"mqtts://10.0.0.1\"\n");
    for (lines, told) in [
        (
            format!("{plain}broker_user = \"g\""),
            "error: local.broker_user: `broker_user` and `broker_password_file` belong together",
        ),
        (
            format!("{plain}broker_user = \"g\"\nbroker_password_file = \"none\""),
            "error: local.broker_password_file:",
        ),
        (format!("{plain}{LOGIN}"), "warning: local.broker: the password goes to the broker in the clear"),
        (
            format!("{plain}{CERTIFICATES}"),
            "error: local.broker: certificates are given but the address has no TLS",
        ),
        (
            format!("{plain}broker_tls_server_name = \"b\""),
            "error: local.broker_tls_server_name: without effect on mqtt://",
        ),
        (format!("{secure}broker_ca = \"none\""), "error: local.broker_ca:"),
        (format!("{secure}broker_ca = \"own.key\""), "error: local.broker_ca:"),
        (format!("{secure}broker_ca = \"ca.crt\"\nbroker_crl = \"ca.crt\""), "error: local.broker_crl:"),
        (
            format!("{secure}broker_ca = \"ca.crt\"\nbroker_cert = \"own.crt\""),
            "error: local.broker_cert: `broker_cert` and `broker_key` belong together",
        ),
        (
            format!("{secure}broker_ca = \"ca.crt\"\nbroker_cert = \"own.crt\"\nbroker_key = \"other.key\""),
            "error: local.broker_key:",
        ),
        (
            "broker = \"mqtts://10.0.0.1:1883\"\nbroker_ca = \"ca.crt\"".to_owned(),
            "warning: local.broker: 1883 is the usual port of MQTT without TLS: is mqtt://10.0.0.1:1883 meant?",
        ),
        (
            format!("listen = \"127.0.0.1:1883\"\n{LOGIN}"),
            "warning: local.broker_user: `broker_user` has no effect with `listen`",
        ),
        (
            "listen = \"127.0.0.1:1883\"\nbroker_ca = \"none\"".to_owned(),
            "warning: local.broker_ca: `broker_ca` has no effect with `listen`",
        ),
        ("listen = \"127.0.0.1:1883\"\nuser = \"g\"".to_owned(), "did you mean `broker_user`?"),
    ] {
        let (_, said) = site.read(&lines);
        assert!(said.contains(told), "{lines}\n{told}\n{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    for quiet in [format!("broker = \"localhost:1883\"\n{LOGIN}"), format!("{secure}{LOGIN}{CERTIFICATES}")] {
        assert_eq!(site.read(&quiet).1, "", "{quiet}");
    }
}

/// A restart between the halves of a renewal would keep the whole site down.
#[test]
fn an_unusable_certificate_does_not_keep_down_what_was_in_force() {
    let site = Site::new();
    site.write("own.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let local = format!("broker = \"mqtts://10.0.0.1\"\n{CERTIFICATES}");
    let mut findings = Findings::new(Path::new("gateway.toml"), "");
    findings.go_on_without_identities();
    assert!(site.read(&local).0.is_none());
    assert!(
        findings.unusable(0, "local.broker_key", "another")
            && findings.unusable(0, "local.broker_cert", "another")
    );
    assert!(!findings.unusable(0, "local.broker_ca", "another"));
}

/// It is read again before each connection: nothing has to start anew for it.
#[test]
fn another_password_is_no_change_and_another_user_is_one() {
    let site = Site::new();
    let read = |lines: &str| site.read(&format!("broker = \"localhost:1883\"\n{lines}")).0.unwrap();
    let before = read(LOGIN);
    site.write("password", "other\n");
    assert!(before.changes(&read(LOGIN)).at_start.is_empty());
    assert_eq!(before.changes(&read(&LOGIN.replace("\"g\"", "\"h\""))).at_start, ["[local]"]);
    assert_eq!(before.changes(&read("")).at_start, ["[local]"]);
}

//! Keys that say who comes in from the plant, and how.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use edge_bridge::access::PasswordFile;

use super::*;

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A directory with `users`, `rights`, `cert`, `key` and `other.key`.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("users"), &PasswordFile::line("ann", b"secret", [1; 12]).unwrap());
    write(&at("rights"), "user ann\ntopic #\n");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["gw".to_owned()]).unwrap().self_signed(&key).unwrap();
    write(&at("cert"), &certificate.pem());
    write(&at("key"), &key.serialize_pem());
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write(&at("ca"), &authority.self_signed(&key).unwrap().pem());
    write(&at("other.key"), &rcgen::KeyPair::generate().unwrap().serialize_pem());
    dir
}

/// Findings about `[local]` with these lines.
fn said(dir: &Path, local: &str) -> String {
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\n{local}\n[hub]\nurl = \"mqtt://hub:1\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    );
    Config::parse(&dir.join("gateway.toml"), &text, &|_| None)
        .map_or_else(|errors| errors.to_string(), |(_, warnings)| warnings.to_string())
}

const TLS: &str = "tls_listen = \"0.0.0.0:8883\"\ncert = \"cert\"\nkey = \"key\"\n";

#[test]
fn what_is_in_order_is_passed_over() {
    let dir = files();
    for local in [
        "listen = \"0.0.0.0:1883\"\npassword_file = \"users\"\nacl_file = \"rights\"".to_owned(),
        format!("{TLS}client_ca = \"ca\"\nacl_file = \"rights\""),
        format!("{TLS}client_ca = \"ca\"\nclient_user_from = \"san\"\nmin_keep_alive = \"5m\""),
        format!("{TLS}password_file = \"users\"\nlisten = \"127.0.0.1:1883\""),
        "listen = \"127.0.0.1:1883\"\npassword_file = \"users\"\nallow_anonymous = true".to_owned(),
        "listen = \"127.0.0.1:1883\"\nws_listen = \"127.0.0.1:9001\"".to_owned(),
        format!(
            "{TLS}client_ca = \"ca\"\nwss_listen = \"0.0.0.0:9443\"\nws_origins = [\"https://a.example\"]"
        ),
    ] {
        assert_eq!(said(dir.path(), &local), "", "{local}");
    }
}

#[test]
fn each_mistake_is_named() {
    let dir = files();
    let at = |name: &str| dir.path().join(name);
    write(&at("bad.users"), "ann\nbob:x\n");
    write(&at("bad.rights"), "topic\n");
    write(&at("empty"), "");
    write(&at("eve.rights"), "user eve\ntopic #\n");
    write(&at("open"), &PasswordFile::line("ann", b"x", [1; 12]).unwrap());
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let here = "listen = \"127.0.0.1:1883\"\n";
    for (local, expected) in [
        (
            "listen = \"0.0.0.0:1883\"".to_owned(),
            "error: local.listen: anyone who reaches this address may publish",
        ),
        (
            TLS.to_owned(),
            "error: local.tls_listen: anyone who reaches this address may publish: give a password_file, a client_ca",
        ),
        (format!("{here}cert = \"cert\""), "error: local.cert: belongs to `tls_listen`"),
        (
            format!("{here}client_user_from = \"san\""),
            "error: local.client_user_from: belongs to `tls_listen`",
        ),
        (
            format!("{TLS}client_user_from = \"san\"\npassword_file = \"users\""),
            "error: local.client_user_from: belongs to `client_ca`",
        ),
        (format!("{here}min_keep_alive = \"301s\""), "error: local.min_keep_alive: more than"),
        ("tls_listen = \"127.0.0.1:8883\"".to_owned(), "error: local.tls_listen: needs `cert` and `key`"),
        (TLS.replace("\"key\"", "\"other.key\""), "error: local.key"),
        (format!("{TLS}client_ca = \"key\"\npassword_file = \"users\""), "error: local.client_ca"),
        (
            format!("{TLS}client_ca = \"cert\"\nlisten = \"127.0.0.1:8883\""),
            "error: local.tls_listen: `listen` has this address",
        ),
        (format!("{here}password_file = \"bad.users\""), "line 1: not USER:HASH"),
        (format!("{here}password_file = \"bad.users\""), "line 2: the password is not hashed"),
        (format!("{here}password_file = \"absent\""), "error: local.password_file"),
        (format!("{here}password_file = \"empty\""), "warning: local.password_file: no user stands there"),
        (format!("{here}password_file = \"open\""), "others may read the hashes"),
        (format!("{here}acl_file = \"bad.rights\""), "line 1: the topic is missing"),
        (
            format!("{here}acl_file = \"users\""),
            "/users: line 1: a line begins with topic, user or pattern, or with #",
        ),
        (format!("{here}acl_file = \"empty\""), "warning: local.acl_file: no rule stands there"),
        (
            format!("{here}acl_file = \"rights\""),
            "warning: local.acl_file: without `password_file` everybody",
        ),
        (
            format!("{here}password_file = \"users\"\nacl_file = \"eve.rights\""),
            "user \"eve\" has rules, but no login",
        ),
        (
            "broker = \"h:1\"\npassword_file = \"users\"".to_owned(),
            "of its own: the password for it belongs into `broker_password_file`",
        ),
        (
            format!("{TLS}broker = \"h:1\""),
            "error: local.broker: either `listen`, `tls_listen` or both, or `broker`",
        ),
    ] {
        let said = said(dir.path(), &local);
        assert!(said.contains(expected), "{local}: {expected} is not in\n{said}");
    }
}

#[test]
fn more_retained_bytes_than_outlive_a_restart_are_warned_of() {
    let dir = files();
    let told = |more: &str| {
        said(dir.path(), &format!("listen = \"127.0.0.1:1883\"\nmax_memory = \"64MiB\"\n{more}"))
    };
    let expected = "warning: local.max_retained_bytes: more than the 1.0 MiB of sessions and retained messages that outlive a restart";
    let text = told("max_retained_bytes = \"32MiB\"");
    assert!(text.contains(expected), "{text}");
    assert_eq!(told("max_retained_bytes = \"1MiB\""), "");
    assert_eq!(told("max_retained_bytes = \"32MiB\"\npersistence = false"), "", "nothing outlives it");
}

#[test]
fn each_mistake_about_several_addresses_is_named() {
    let dir = files();
    for (local, expected) in [
        ("listen = []", "error: local.listen: no address: leave the key out"),
        ("listen = [1883]", "error: local.listen: expected strings, found a whole number"),
        ("listen = [\"127.0.0.1:1883\", \"there\"]", "error: local.listen: \"there\" is not ADDRESS:PORT"),
        (
            "listen = [\"127.0.0.1:1883\", \"127.0.0.1:1883\"]",
            "error: local.listen: another one of its addresses has this address and port already",
        ),
        (
            "listen = [\"127.0.0.1:1883\", \"[::]:1883\"]",
            "error: local.listen: another one of its addresses has this address and port already",
        ),
        (
            "listen = [\"127.0.0.1:1883\", \"10.1.0.2:1883\"]",
            "error: local.listen: anyone who reaches this address may publish",
        ),
    ] {
        let said = said(dir.path(), local);
        assert!(said.contains(expected), "{local}: {expected} is not in\n{said}");
    }
    let side_by_side =
        "listen = [\"0.0.0.0:1883\", \"[::1]:1883\", \"0.0.0.0:1884\"]\nallow_anonymous = true";
    let told = said(dir.path(), side_by_side);
    assert!(!told.contains("already"), "{told}");
}

#[test]
fn each_mistake_about_websocket_is_named() {
    let dir = files();
    let here = "listen = \"127.0.0.1:1883\"\n";
    for (local, expected) in [
        (
            format!("{here}ws_listen = \"0.0.0.0:9001\""),
            "error: local.ws_listen: anyone who reaches this address may publish: give a password_file, or",
        ),
        (
            format!("{TLS}client_ca = \"cert\"\nws_listen = \"0.0.0.0:9001\""),
            "error: local.ws_listen: anyone who reaches this address may publish",
        ),
        (
            format!("{here}ws_listen = \"127.0.0.1:1883\""),
            "error: local.ws_listen: `listen` has this address",
        ),
        (
            format!("{here}wss_listen = \"127.0.0.1:9443\""),
            "error: local.wss_listen: speaks the TLS of `tls_listen`, which is missing",
        ),
        (
            format!("{here}ws_origins = [\"https://a.example\"]"),
            "error: local.ws_origins: belongs to `ws_listen` and `wss_listen`",
        ),
        (
            format!("{here}ws_listen = \"127.0.0.1:9001\"\nws_origins = [\"*\"]"),
            "error: local.ws_origins: \"*\" is no origin",
        ),
        (
            format!("{here}trusted_proxies = [\"10.0.0.5\", \"balancer\"]"),
            "error: local.trusted_proxies: \"balancer\": not an IP address, nor a network",
        ),
        (
            format!("{here}trusted_proxies = [\"10.1.0.9/16\"]"),
            "error: local.trusted_proxies: \"10.1.0.9/16\": the address has bits behind the slash's number: write 10.1.0.0/16",
        ),
    ] {
        let said = said(dir.path(), &local);
        assert!(said.contains(expected), "{local}: {expected} is not in\n{said}");
    }
}

/// Somebody who may write them lets in whom they like.
#[test]
fn files_with_rights_that_others_may_write_are_told() {
    let dir = files();
    let lines = format!("{TLS}client_ca = \"ca\"\nacl_file = \"rights\"");
    for (name, key, words) in
        [("rights", "acl_file", "the rights of clients"), ("ca", "client_ca", "who is let in")]
    {
        let path = dir.path().join(name);
        for (mode, is_told) in [(0o644, false), (0o664, true), (0o646, true), (0o640, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = said(dir.path(), &lines);
            let expected = format!(
                "warning: local.{key}: {}: mode {mode:04o}, others may change {words}: chmod go-w",
                path.display()
            );
            assert_eq!((said.contains(&expected), said.is_empty()), (is_told, !is_told), "{said}");
        }
    }
}

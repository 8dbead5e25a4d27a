//! Addresses, logins and rights of local clients in the report of `check`.

use super::*;

/// The report on a gateway with these keys of `[local]`, beside files `users`, with one of them, and `rights`, with a rule.
fn said(local: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let line = edge_bridge::access::PasswordFile::line("u", b"secret", [1; 12]).unwrap();
    std::fs::write(dir.path().join("users"), line + "\n").unwrap();
    std::fs::write(dir.path().join("rights"), "topic a\n").unwrap();
    let text =
        format!("[gateway]\nid=\"g\"\n[local]\n{local}[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n");
    let (config, _) = Config::parse(&dir.path().join("g.toml"), &text, &|_| None).unwrap();
    let said = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
    said.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn what_a_door_for_everybody_opens_is_said() {
    let open = said("listen = \"0.0.0.0:1\"\nallow_anonymous = true\n");
    let lines = "local         sensors connect to 0.0.0.0:1, MQTT 3.1.1 and 5\n\
        \x20             messages go there in the clear: who listens on the network reads them\n\
        \x20             nobody logs in: whoever reaches it comes in\n\
        \x20             everybody there may publish and read everything\n";
    assert!(open.contains(lines), "{open}");
    let local = said("listen = \"127.0.0.1:1\"\n");
    assert!(!local.contains("in the clear: who listens"), "{local}");
}

#[test]
fn clients_without_a_user_name_beside_those_who_log_in_are_said() {
    let users = "password_file = \"users\"\n";
    for (keys, line) in [
        ("", "logins by users: 1 users, nobody else\n"),
        ("allow_anonymous = true\n", "logins by users: 1 users, clients without a user name too\n"),
        ("acl_file = \"rights\"\n", "rights by rights: 1 rules, what none allows is refused\n"),
    ] {
        let said = said(&format!("listen = \"0.0.0.0:1\"\n{users}{keys}"));
        for line in [line, "passwords and messages go there in the clear: who listens"] {
            assert!(said.contains(&format!("\n              {line}")), "{line} is missing in\n{said}");
        }
        assert!(!said.contains("whoever reaches it comes in"), "{said}");
    }
}

//! Memory of logins and rights in the sum of `check`.

use super::*;

/// Wrong logins have a table of their own, whoever logs in.
#[test]
fn memory_of_logins_and_rights_is_in_the_sum_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let with = |users: usize, key: &str| {
        let hash = edge_bridge::access::PasswordFile::line("u", b"secret", [1; 12]).unwrap();
        let lines: String = (0..users).map(|n| format!("{n}{hash}\n")).collect();
        std::fs::write(dir.path().join("users"), lines).unwrap();
        std::fs::write(dir.path().join("rights"), "topic a\n".repeat(users)).unwrap();
        let text = format!(
            "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n{key}[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n"
        );
        let (config, _) = Config::parse(&dir.path().join("g.toml"), &text, &|_| None).unwrap();
        let said = Meaning(&config, ClockSync::Unknown, OpenFiles::PLENTY, Load::USUAL).to_string();
        (sizing::sizing(&config, Load::USUAL).ram_bytes, said)
    };
    let (users, rights) = ("password_file=\"users\"\n", "acl_file=\"rights\"\n");
    let (none, said) = with(1, "");
    assert!(!said.contains("for logins and rights"), "{said}");
    let (one, said) = with(1, users);
    assert!(((6 << 20)..(8 << 20)).contains(&(one - none)), "{}", one - none);
    let told = " MiB of it for logins and rights, with their files as they are now\n";
    assert!(said.contains(told), "{said}");
    let (many, _) = with(5_000, users);
    assert!(many - one > 5 * 5_000 * 150, "five copies: {}", many - one);
    let (few, _) = with(1, rights);
    assert!(few > none && with(5_000, rights).0 - few > 5 * 5_000 * 24);
}

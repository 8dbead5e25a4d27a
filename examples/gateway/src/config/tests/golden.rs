//! Configurations of released versions: each key of theirs is a key still, and no default has become another value.
//!
//! A new version adds its fixtures beside these, which stay as they are. Only while 0.1 has not been released may they be made anew: the list with
//! `EDGE_REGENERATE_GOLDEN=1`, the defaults by hand.

#![allow(clippy::disallowed_methods, reason = "test code")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::keys::{Key, Preset, TABLES, Table};
use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/golden")).join(name)
}

/// Keys with a default that no fixture has: `rules`, without which the table is a mistake, is a file.
const LEFT_OUT: [&str; 1] = ["[control] publish_every"];

fn present(is_counted: impl Fn(&Key) -> bool) -> BTreeSet<String> {
    let of = |table: &Table| {
        let keys = table.keys.iter().filter(|key| is_counted(key));
        keys.map(|key| format!("{} {}", table.head, key.name)).collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(of).collect()
}

#[test]
fn each_key_of_version_0_1_is_a_key() {
    let is_released = env!("CARGO_PKG_VERSION") != "0.1.0";
    let (present, path) = (present(|_| true), fixture("keys-0.1.txt"));
    if !is_released && std::env::var_os("EDGE_REGENERATE_GOLDEN").is_some() {
        let lines: String = present.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, lines).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let golden: BTreeSet<String> = golden.lines().map(str::to_owned).collect();
    let gone: Vec<_> = golden.difference(&present).collect();
    assert!(gone.is_empty(), "an update would refuse configurations with these keys: {gone:?}");
    let new: Vec<_> = present.difference(&golden).collect();
    assert!(is_released || new.is_empty(), "not held yet: EDGE_REGENERATE_GOLDEN=1: {new:?}");
}

#[test]
fn a_file_without_a_key_means_what_it_meant_in_version_0_1() {
    let meaning = |text: &str| {
        let config = parse(text).unwrap_or_else(|findings| panic!("{findings}")).0;
        let sources = super::super::Sources::new(Path::new(""), "");
        format!("{:#?}", Config { digest: String::new(), sources, ..config })
    };
    let (with_keys, without) = ("defaults-0.1.toml", "without-defaults-0.1.toml");
    let [with_keys, without] =
        [with_keys, without].map(|name| std::fs::read_to_string(fixture(name)).unwrap());
    assert_eq!(meaning(&with_keys), meaning(&without));
    // It is not blind.
    for (default, other) in
        [("ack_within = \"1s\"", "ack_within = \"2s\""), ("expiry = \"1m\"", "expiry = \"2m\"")]
    {
        assert_ne!(meaning(&with_keys.replace(default, other)), meaning(&without), "{default}");
    }
    let has_default = |key: &Key| matches!(key.preset, Preset::Is(_));
    for name in present(has_default).iter().filter(|name| !LEFT_OUT.contains(&name.as_str())) {
        let (_, key) = name.rsplit_once(' ').unwrap();
        let stands = with_keys
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")) || line.contains(&format!(" {key} = ")));
        assert!(stands, "no fixture has the default of {name}");
    }
}

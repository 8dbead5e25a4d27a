//! The status leaves the site: what it says of a file names the setting, and not the place on this machine.

use std::path::Path;

use crate::config::{Config, Local};
use crate::run::configuration::refusal::Refusal;

use super::*;

/// The `why` in the retained message at the hub, of a gateway of this configuration whose first need has this text.
fn at_hub(config: &Config, text: &str) -> String {
    let status = HubStatus::new("site7", config.sources.paths.clone()).unwrap();
    let need = || Need {
        level: Level::Act,
        id: "access".to_owned(),
        text: text.to_owned(),
        action: "Mend it.".to_owned(),
    };
    let snapshot = || Snapshot { needs: vec![need()], ..made().0 };
    status.see(1_000, (1, true), of(Verdict::Degraded), || (snapshot(), made().1));
    let messages = said(&status, 1_000);
    let json: serde_json::Value = serde_json::from_slice(&messages[1].payload).unwrap();
    json["why"].as_str().unwrap().to_owned()
}

#[test]
fn what_goes_to_the_hub_names_the_setting_and_not_the_local_path() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    let acl = dir.path().join("rights.acl");
    std::fs::write(&acl, "topic read a/#\n").unwrap();
    let file = dir.path().join("gateway.toml");
    let text = "[gateway]\nid = \"site7\"\nstate = \"state\"\n[local]\nlisten = \"127.0.0.1:1\"\nacl_file = \"rights.acl\"\n[hub]\nurl = \"mqtt://h\"\n[[route]]\nmatch = \"#\"\n";
    let config = Config::parse(&file, text, &|_| None).unwrap().0;
    std::fs::write(&acl, "nothing\n").unwrap();
    let Local::Listen { access, .. } = &config.local else { panic!("a broker") };
    let refused = access.read().err().unwrap().to_string();
    assert!(refused.contains(&place), "the log and the local status name it: {refused}");
    let why = at_hub(&config, &format!("Changed files are not in force: {refused}."));
    assert!(why.contains("[local] acl_file: line 1") && !why.contains(&place), "{why}");
    let why = at_hub(&config, &format!("There is no queue: {place}/state: disk full."));
    assert_eq!(why, "There is no queue: [gateway] state: disk full.");
    // The changed file may name others than those in force.
    let changed = text.replace("rights.acl", "other/rights.acl");
    let findings = Config::parse(&file, &changed, &|_| None).unwrap_err();
    let refusal = Refusal::mistakes(&findings).text();
    assert!(refusal.contains(&place), "{refusal}");
    let why = at_hub(&config, &refusal);
    let expected =
        "The changed gateway.toml is not in force: gateway.toml:6: local.acl_file: …: No such file";
    assert!(why.starts_with(expected) && !why.contains(&place), "{why}");
    let lost =
        at_hub(&config, &format!("no TLS with the hub: {}: none", Path::new(&place).join("ca").display()));
    assert_eq!(lost, "no TLS with the hub: …: none");
}

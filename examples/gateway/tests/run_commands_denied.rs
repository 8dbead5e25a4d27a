#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A hub that denies the gateway the topic of its answers to commands, at a real Mosquitto: the status says so until one is accepted.

mod support;

use std::process::Command;

use support::commands::{HUB, LocalClient, Plant};
use support::gateway::BINARY;
use support::wait_until;

const RULES: &str = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";
const RIGHTS: &str = "topic read #\ntopic write site7/#\ntopic write up/#\n";

/// The need with this id, as `/status.json` has it.
fn need(plant: &Plant, id: &str) -> Option<serde_json::Value> {
    let (_, page) = plant.gateway.get("/status.json")?;
    let status: serde_json::Value = serde_json::from_str(&page).unwrap();
    status["needs"].as_array().unwrap().iter().find(|need| need["id"] == id).cloned()
}

#[test]
fn answers_that_the_hub_denies_are_told_in_the_status_until_one_is_accepted() {
    let plant = Plant::start(RULES);
    let _local = LocalClient::start(plant.listen, "valves", "cmd/#");
    let acl = plant.dir.path().join("acl");
    let grant = |more: &str| {
        std::fs::write(&acl, format!("{RIGHTS}{more}")).unwrap();
        plant.hub.reconfigure(&format!("{HUB}\nacl_file {}", acl.display()));
    };
    plant.request("site7/cmd/a", "open", 30, "granted");
    assert!(plant.answers.wait("granted").is_delivered);
    assert_eq!(need(&plant, "answers"), None);

    grant("");
    plant.request("site7/cmd/a", "close", 30, "denied");
    wait_until("the status tells it", 20, || need(&plant, "answers").is_some());
    let told = need(&plant, "answers").unwrap();
    assert_eq!(told["level"], "act");
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("\"edge/answers/g\": 0x87 Not authorized. They"), "{text}");
    assert!(
        told["action"].as_str().unwrap().contains("Let client g publish to \"edge/answers/g\""),
        "{told}"
    );
    let status =
        Command::new(BINARY).arg("status").arg("--state").arg(&plant.gateway.state).output().unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("The hub refuses answers to commands on \"edge/answers/g\""), "{said}");
    assert_eq!(plant.answers.of("denied"), []);

    grant("topic write edge/answers/g\n");
    plant.request("site7/cmd/a", "open", 30, "granted again");
    assert!(plant.answers.wait("granted again").is_delivered);
    wait_until("the status is well again", 20, || need(&plant, "answers").is_none());
}

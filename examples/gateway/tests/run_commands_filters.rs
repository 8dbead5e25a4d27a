#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Commands after a change of what `[[command]]` matches: the session at a real Mosquitto does not keep the filters of the configuration before.

mod support;

use std::fs;

use support::commands::{LocalClient, Plant, Request};
use support::wait_until;

/// Replaces a text of the gateway's configuration, and starts it again.
fn restart_with(plant: &mut Plant, before: &str, after: &str) {
    let (status, _) = plant.gateway.terminate();
    assert!(status.success(), "{status}");
    let file = plant.dir.path().join("gateway.toml");
    let config = fs::read_to_string(&file).unwrap();
    assert!(config.contains(before), "{config}");
    fs::write(&file, config.replace(before, after)).unwrap();
    plant.gateway.start();
}

fn list(plant: &Plant) -> String {
    fs::read_to_string(plant.dir.path().join("state/commands-subscribed")).unwrap()
}

/// Promise 10. Mosquitto sends a message once for each filter that matches it: a command without an identity would be two.
#[test]
fn promise_10_a_filter_of_an_earlier_configuration_makes_no_second_command() {
    let rule = |filter: &str, to: &str| format!("[[command]]\nmatch = \"site7/{filter}\"\nto = \"{to}\"\n");
    let rules = [rule("#", "all/#"), rule("cmd/#", "cmd/#"), rule("cmd/+", "cmd/+")];
    let mut plant = Plant::start(&rules[0]);
    assert_eq!(list(&plant), "g\nsite7/#\n");
    for (rules, filter) in rules.windows(2).zip(["site7/cmd/#", "site7/cmd/+"]) {
        restart_with(&mut plant, &rules[0], &rules[1]);
        wait_until("the hub has answered", 20, || list(&plant) == format!("g\n{filter}\n"));
        let local = LocalClient::start(plant.listen, "valves", "cmd/#");
        let hub = plant.hub.address;
        Request::new("site7/cmd/a", "open").expiry(30).send(hub);
        // Behind it on the same topic: both copies of the first would have come before.
        Request::new("site7/cmd/a", "shut").expiry(30).id(filter).send(hub);
        assert!(plant.answers.wait(filter).is_delivered);
        assert_eq!(local.payloads(), ["open", "shut"], "{filter}");
    }
    let log = plant.gateway.log();
    assert_eq!(log.matches("no command matches them any more").count(), 2, "{log}");
}

/// The hub is asked for what the wider rule matches alone, or it would send a copy for each of the two.
#[test]
fn promise_10_rules_that_match_the_same_make_no_second_command() {
    // The plant waits for a subscription to each filter in double quotes.
    let rules = "[[command]]\nmatch = 'site7/cmd/valve/+'\nto = \"cmd/valve/+\"\n\
                 [[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";
    let plant = Plant::start(rules);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    Request::new("site7/cmd/valve/a", "open").expiry(30).send(plant.hub.address);
    // Behind it on the same topic: both copies of the first would have come before.
    plant.request("site7/cmd/valve/a", "shut", 30, "second");
    assert!(plant.answers.wait("second").is_delivered);
    assert_eq!(local.payloads(), ["open", "shut"]);
}

/// Without a rule nobody wants what the hub would send for ever.
#[test]
fn a_filter_whose_rule_is_gone_is_unsubscribed() {
    let rule = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";
    let mut plant = Plant::start(rule);
    restart_with(&mut plant, rule, "");
    wait_until("the hub has answered", 20, || list(&plant) == "g\n");
    Request::new("site7/cmd/a", "open").expiry(30).send(plant.hub.address);
    assert_eq!(plant.left_at_hub(), 0);
    assert!(!plant.gateway.log().contains("no subscription"), "{}", plant.gateway.log());
}

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Commands of a hub (`[[command]]`), given to local clients in time and once, between Mosquitto and foreign clients.

mod support;

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use support::commands::{LocalClient, Plant, Request, leave_session};
use support::mosquitto::Subscriber;
use support::relay::Relay;
use support::wait_until;

const RULES: &str = "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n";

/// An outage, or the absence of a client, of this length.
fn let_pass(time: Duration) {
    let start = Instant::now();
    wait_until("the time is over", 30, || start.elapsed() >= time);
}

fn behind_a_line() -> (Plant, Relay) {
    let mut wan = None;
    let line = |hub| wan.insert(Relay::start(hub)).address;
    let plant = Plant::start_after(RULES, |_| {}, line);
    (plant, wan.unwrap())
}

#[test]
fn a_command_reaches_a_local_client_and_its_end_is_told_where_it_asks() {
    let mut plant = Plant::start(RULES);
    let local = Subscriber::with_format(plant.listen, "cmd/#", "%t\t%E\t%P\t%x");
    let hub = plant.hub.address;
    let valve = |name: &str| (format!("site7/cmd/{name}"), format!("cmd/{name}"));
    let to = |name: &str, payload: &str| Request::new(&valve(name).0, payload);

    to("a", "open").expiry(30).id("x7").correlation("c").response("site7/answers/x").send(hub);
    let answer = plant.answers.wait("x7");
    assert_eq!((answer.topic.as_str(), answer.correlation.as_str()), ("site7/answers/x", "c"));
    assert_eq!((answer.is_delivered, answer.clients), (true, Some(1)), "{answer:?}");
    assert_eq!(answer.command, valve("a").0);
    let now_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!(answer.at_ms <= now_ms && now_ms - answer.at_ms < 30_000, "{} at {now_ms}", answer.at_ms);

    to("b/2", "shut").expiry(3_600).id("x8").send(hub);
    let answer = plant.answers.wait("x8");
    assert_eq!((answer.topic.as_str(), answer.correlation.as_str()), ("edge/answers/g", ""));
    // Its Correlation Data names it if nothing else does, and else nothing.
    to("c", "half").expiry(30).correlation("7z").send(hub);
    assert_eq!(plant.answers.wait("377a").correlation, "7z");
    to("d", "stop").expiry(30).send(hub);
    assert_eq!(plant.answers.wait_for_topic(&valve("d").0).id, None);

    wait_until("who has acknowledged all prints all", 20, || local.arrived().len() >= 4);
    let arrived = local.arrived();
    let given: Vec<_> =
        arrived.iter().map(|message| (message.topic.clone(), message.payload.as_str())).collect();
    let asked = [("a", "open"), ("b/2", "shut"), ("c", "half"), ("d", "stop")];
    assert_eq!(given, asked.map(|(name, payload)| (valve(name).1, payload)));
    for (message, most) in arrived.iter().zip([30, 60, 30, 30]) {
        let left: u64 = message.content_type.parse().unwrap();
        assert!(
            left <= most && left + 20 >= most,
            "{left} s are left of the rule's 60 s and its own: {message:?}"
        );
    }
    assert!(arrived[0].user_properties.contains("cmd-id:x7"), "{:?}", arrived[0]);
    assert_eq!((plant.ended("delivered"), plant.answers.all().len()), (4.0, 4));
    assert_eq!(plant.left_at_hub(), 0);
}

#[test]
fn what_must_not_be_given_is_refused_with_its_reason() {
    let rules = format!(
        "{RULES}[[command]]\nmatch = \"site7/free/+/set\"\nto = \"free/+\"\nallow = [\"open\", \"0..100\"]\nallow_unbounded = true\nanswers = \"site7/answers/free\"\n"
    );
    let retained = |hub| Request::new("site7/cmd/old", "open").expiry(3_600).id("old").retained().send(hub);
    let mut plant = Plant::start_after(&rules, retained, |hub| hub);
    let local = LocalClient::start(plant.listen, "valves", "#");
    let (hub, large) = (plant.hub.address, plant.dir.path().join("large"));
    fs::write(&large, vec![b'x'; 256 * 1024 + 1]).unwrap();
    let long = "x".repeat(1_100);
    let request = |name: &str| Request::new(&format!("site7/cmd/{name}"), "open");
    request("forever").id("forever").send(hub);
    request("flag").expiry(30).id("flag").retained().send(hub);
    request("nameless").expiry(30).id("").send(hub);
    request("long-name").expiry(30).id(&long[..257]).send(hub);
    request("far").expiry(30).id("far").response(&format!("site7/answers/{long}")).send(hub);
    request("chatty").expiry(30).id("chatty").correlation(&long).send(hub);
    Request::of_file("site7/cmd/large", &large).expiry(30).id("large").send(hub);
    for (name, reason) in [
        ("old", "retained"),
        ("flag", "retained"),
        ("forever", "no-expiry"),
        ("nameless", "bad-id"),
        ("long-name", "bad-id"),
        ("far", "too-large"),
        ("chatty", "too-large"),
        ("large", "too-large"),
    ] {
        let answer = plant.answers.wait_for_topic(&format!("site7/cmd/{name}"));
        assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, reason), "{name}: {answer:?}");
    }
    assert_eq!((plant.ended("retained"), plant.ended("no_expiry"), plant.ended("other")), (2.0, 1.0, 5.0));

    Request::new("site7/free/a/set", "101").id("free").send(hub);
    assert_eq!(plant.answers.wait("free").reason, "not-allowed");
    Request::new("site7/free/a/set", "99.5").id("mended").send(hub);
    let answer = plant.answers.wait("mended");
    assert_eq!((answer.topic.as_str(), answer.clients), ("site7/answers/free", Some(1)), "{answer:?}");
    plant.request("site7/cmd/new", "open", 30, "new");
    assert!(plant.answers.wait("new").is_delivered, "the others hold nothing up");
    assert_eq!(local.given().into_iter().map(|given| given.topic).collect::<Vec<_>>(), ["free/a", "cmd/new"]);
    assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 11));
}

#[test]
fn a_command_that_nobody_is_subscribed_to_is_refused_when_its_time_is_over() {
    let mut plant = Plant::start(RULES);
    let start = Instant::now();
    plant.request("site7/cmd/a", "late", 8, "late");
    let answer = plant.answers.wait("late");
    let waited = start.elapsed() > Duration::from_secs(6);
    assert_eq!((answer.is_delivered, answer.reason.as_str(), waited), (false, "nobody", true), "{answer:?}");
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    plant.request("site7/cmd/a", "in time", 30, "next");
    assert!(plant.answers.wait("next").is_delivered);
    assert_eq!(local.payloads(), ["in time"]);
    assert_eq!((plant.ended("nobody"), plant.ended("delivered")), (1.0, 1.0));
    assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 2));
}

#[test]
fn a_client_that_comes_within_the_expiry_gets_the_command_once() {
    let mut plant = Plant::start(RULES);
    plant.request("site7/cmd/a", "first", 20, "first");
    let_pass(Duration::from_secs(2));
    assert_eq!(plant.answers.all(), []);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    assert_eq!(plant.answers.wait("first").clients, Some(1));
    plant.request("site7/cmd/a", "second", 20, "second");
    assert_eq!(plant.answers.wait("second").clients, Some(1));
    let_pass(Duration::from_millis(1_500));
    assert_eq!(local.payloads(), ["first", "second"], "it is tried once a second until somebody has it");
    assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 2));
}

#[test]
fn commands_of_an_outage_come_once_after_it_and_late_ones_never() {
    let (mut plant, wan) = behind_a_line();
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    wan.cut();
    let kept: Vec<_> = (0..20).map(|n| format!("kept {n:02}")).collect();
    for (n, kept) in kept.iter().enumerate() {
        let topic = format!("site7/cmd/{}", n % 2);
        plant.request(&topic, kept, 3_600, kept);
        plant.request(&topic, "late", 1, &format!("late {n:02}"));
    }
    let_pass(Duration::from_millis(2_500));
    assert_eq!(local.payloads(), [""; 0]);
    wan.mend();
    for id in &kept {
        assert!(plant.answers.wait(id).is_delivered, "{id}");
    }
    for topic in ["site7/cmd/0", "site7/cmd/1"] {
        // Copies would be ahead of it.
        plant.request(topic, "the end", 30, topic);
        assert!(plant.answers.wait(topic).is_delivered);
    }
    let mut given = local.payloads();
    given.sort();
    assert_eq!(given, [&kept[..], &["the end".to_owned(), "the end".to_owned()]].concat());
    let answers = plant.answers.all();
    let late = answers.iter().filter(|answer| answer.id.as_ref().unwrap().starts_with("late"));
    for answer in late {
        let end = (answer.is_delivered, answer.reason.as_str());
        assert_eq!(end, (false, "expired"), "the hub sent it all the same");
    }
    assert_eq!(plant.left_at_hub(), 0);
}

#[test]
fn copies_of_a_command_are_acknowledged_and_not_given_also_after_a_kill() {
    let mut plant = Plant::start(RULES);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    for n in 1..=3 {
        plant.request("site7/cmd/a", "open", 30, "x7");
        wait_until("it is acknowledged", 20, || plant.acknowledged() == n);
    }
    plant.gateway.kill_9();
    plant.gateway.start();
    local.wait_for_subscription(2);
    plant.request("site7/cmd/a", "open", 30, "x7");
    wait_until("it is acknowledged", 20, || plant.acknowledged() == 4);
    plant.request("site7/cmd/a", "shut", 30, "x8");
    assert!(plant.answers.wait("x8").is_delivered);
    assert_eq!(local.payloads(), ["open", "shut"]);
    assert_eq!(plant.left_at_hub(), 0);
    let answers = plant.answers.of("x7");
    assert!(answers.iter().all(|answer| answer.is_delivered), "{answers:?}");
    let mut times: Vec<_> = answers.iter().map(|answer| answer.at_ms).collect();
    times.dedup();
    // The kill may have the first one sent again.
    assert_eq!(times.len(), 1, "{answers:?}");
}

/// It may have been obeyed: nobody knows.
#[test]
fn a_command_whose_end_a_kill_took_is_refused_as_interrupted_and_not_given_again() {
    let mut plant = Plant::start(RULES);
    let silent = LocalClient::silent(plant.listen, "valves", "cmd/#");
    plant.request("site7/cmd/a", "open", 3_600, "x7");
    wait_until("it is given", 20, || !silent.given().is_empty());
    plant.gateway.kill_9();
    plant.gateway.start();
    silent.wait_for_subscription(2);
    let answer = plant.answers.wait("x7");
    assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, "interrupted"), "{answer:?}");
    wait_until("its copy is acknowledged", 20, || plant.acknowledged() == 1);
    assert_eq!(silent.payloads(), ["open"]);
    assert_eq!(plant.ended("interrupted"), 1.0);
    assert_eq!(plant.left_at_hub(), 0);
}

#[test]
fn a_clean_stop_interrupts_no_command_that_nobody_had() {
    let mut plant = Plant::start(RULES);
    plant.request("site7/cmd/a", "open", 60, "x7");
    // It waits for a client.
    let_pass(Duration::from_secs(1));
    assert!(plant.gateway.terminate().0.success());
    assert_eq!(plant.answers.all(), []);
    plant.gateway.start();
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    let answer = plant.answers.wait("x7");
    assert_eq!((answer.is_delivered, local.payloads()), (true, vec!["open".to_owned()]), "{answer:?}");
    assert_eq!((plant.left_at_hub(), plant.answers.all().len()), (0, 1));
}

/// The hub has sent it, and counts its expiry no more.
#[test]
fn a_command_that_waited_before_a_gateway_that_stood_still_is_refused() {
    let mut plant = Plant::start(RULES);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    plant.gateway.signal("STOP");
    plant.request("site7/cmd/a", "late", 3, "late");
    let_pass(Duration::from_secs(4));
    plant.gateway.signal("CONT");
    let answer = plant.answers.wait("late");
    assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, "expired"), "{answer:?}");
    plant.request("site7/cmd/a", "in time", 30, "next");
    // It might have waited as long, and would still be in time.
    assert!(plant.answers.wait("next").is_delivered);
    assert_eq!(local.payloads(), ["in time"]);
    assert_eq!((plant.ended("expired"), plant.left_at_hub()), (1.0, 0));
}

#[test]
fn commands_for_one_topic_keep_their_order_over_an_outage() {
    let (mut plant, wan) = behind_a_line();
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    let commands: Vec<_> = (0..200).map(|n| format!("command {n:03}")).collect();
    for (n, command) in commands.iter().enumerate() {
        // No more than may wait, since they come at once.
        if n == 140 {
            wan.cut();
        }
        plant.request("site7/cmd/a", command, 600, command);
    }
    wan.mend();
    wait_until("each has its answer", 60, || commands.iter().all(|id| !plant.answers.of(id).is_empty()));
    let mut refused = plant.answers.all();
    refused.retain(|answer| !answer.is_delivered);
    let reasons: Vec<_> =
        refused.iter().map(|answer| (answer.id.as_deref(), answer.reason.as_str())).collect();
    assert_eq!(reasons, []);
    assert_eq!(local.payloads(), commands);
    assert_eq!((plant.ended("delivered"), plant.left_at_hub()), (200.0, 0));
}

#[test]
fn a_client_that_never_acknowledges_costs_the_commands_of_its_own_topic_alone() {
    let mut plant = Plant::start(RULES);
    let silent = LocalClient::silent(plant.listen, "silent", "cmd/a");
    let other = LocalClient::start(plant.listen, "other", "cmd/b");
    // Time for all the others, and for the second after the first.
    plant.request("site7/cmd/a", "first", 15, "first");
    plant.request("site7/cmd/a", "second", 22, "second");
    wait_until("it is given", 20, || !silent.given().is_empty());
    // More than the hub sends to a client that acknowledges nothing.
    let commands: Vec<_> = (0..60).map(|n| format!("command {n:02}")).collect();
    for command in &commands {
        plant.request("site7/cmd/b", command, 30, command);
    }
    for command in &commands {
        assert!(plant.answers.wait(command).is_delivered);
    }
    let early: Vec<_> = plant.answers.all().into_iter().map(|answer| answer.command).collect();
    assert_eq!(early.iter().filter(|command| command.ends_with("/b")).count(), early.len(), "{early:?}");
    assert_eq!(silent.payloads(), ["first"], "the second waits for the end of the first");
    for id in ["first", "second"] {
        let answer = plant.answers.wait(id);
        assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, "not-acknowledged"), "{answer:?}");
    }
    assert_eq!(silent.payloads(), ["first", "second"]);
    assert_eq!(other.payloads(), commands);
    assert_eq!((plant.ended("not_acknowledged"), plant.left_at_hub()), (2.0, 0));
}

#[test]
fn a_client_that_stays_away_until_the_expiry_has_not_acknowledged() {
    let mut plant = Plant::start(RULES);
    leave_session(plant.listen, "away", "cmd/a");
    plant.request("site7/cmd/a", "open", 8, "x7");
    let answer = plant.answers.wait("x7");
    assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, "not-acknowledged"), "{answer:?}");
    assert_eq!(plant.left_at_hub(), 0);
}

#[test]
fn one_client_that_acknowledges_is_enough() {
    let mut plant = Plant::start(RULES);
    let silent = LocalClient::silent(plant.listen, "silent", "cmd/a");
    let other = LocalClient::start(plant.listen, "other", "cmd/#");
    for id in ["first", "second"] {
        plant.request("site7/cmd/a", id, 30, id);
        let answer = plant.answers.wait(id);
        assert_eq!((answer.is_delivered, answer.clients), (true, Some(1)), "{answer:?}");
    }
    wait_until("both have both", 20, || silent.payloads() == ["first", "second"]);
    assert_eq!((other.payloads(), plant.left_at_hub()), (silent.payloads(), 0));
}

/// Mosquitto 2.0 hands on what the standard forbids (\[MQTT-3.3.2-14\]): it must not end the link.
#[test]
fn a_response_topic_that_is_none_costs_the_command_its_own_answer_there_alone() {
    let mut plant = Plant::start(RULES);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    Request::new("site7/cmd/a", "open").expiry(30).id("x7").response("hmi/+/x").send(plant.hub.address);
    plant.request("site7/cmd/b", "shut", 30, "x8");
    for id in ["x7", "x8"] {
        let answer = plant.answers.wait(id);
        assert_eq!((answer.is_delivered, answer.topic.as_str()), (true, "edge/answers/g"), "{answer:?}");
    }
    assert_eq!((local.payloads().len(), plant.left_at_hub()), (2, 0));
}

#[test]
fn a_client_that_comes_back_late_does_not_get_what_it_did_not_acknowledge() {
    let plant = Plant::start(RULES);
    let silent = LocalClient::silent_with_session(plant.listen, "away", "cmd/a");
    plant.request("site7/cmd/a", "late", 8, "x7");
    wait_until("it is given", 20, || silent.payloads() == ["late"]);
    drop(silent);
    assert_eq!(plant.answers.wait("x7").reason, "not-acknowledged");
    let back = LocalClient::silent_with_session(plant.listen, "away", "cmd/a");
    plant.request("site7/cmd/a", "in time", 30, "x8");
    wait_until("the next one is given", 20, || !back.given().is_empty());
    assert_eq!(back.payloads(), ["in time"]);
}

/// The log alone said why every command is refused.
#[test]
fn identities_that_are_not_kept_need_a_person_until_they_are() {
    let plant = Plant::start(RULES);
    let local = Subscriber::start(plant.listen, "cmd/#");
    let needs_somebody = || {
        let status: serde_json::Value =
            serde_json::from_str(&plant.gateway.get("/status.json").unwrap().1).unwrap();
        status["needs"].as_array().unwrap().iter().any(|need| need["id"] == "commands")
    };
    let ledger = plant.gateway.dir.join("state/commands");
    fs::create_dir(&ledger).unwrap();
    plant.request("site7/cmd/a", "open", 30, "x7");
    assert_eq!(plant.answers.wait("x7").reason, "not-kept");
    wait_until("the status tells it", 20, needs_somebody);
    fs::remove_dir(&ledger).unwrap();
    plant.request("site7/cmd/a", "open", 30, "x8");
    assert!(plant.answers.wait("x8").is_delivered);
    wait_until("the status tells it no longer", 20, || !needs_somebody());
    wait_until("it has one", 20, || local.arrived().len() == 1);
}

#[test]
fn a_subscriber_at_qos_0_acknowledges_nothing() {
    let mut plant = Plant::start(RULES);
    let local = LocalClient::at_qos_0(plant.listen, "viewer", "cmd/#");
    plant.request("site7/cmd/a", "open", 30, "x7");
    let answer = plant.answers.wait("x7");
    assert_eq!((answer.is_delivered, answer.reason.as_str()), (false, "not-acknowledged"), "{answer:?}");
    wait_until("it has it", 20, || local.payloads() == ["open"]);
    assert_eq!(plant.left_at_hub(), 0);
}

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Commands of a hub while the gateway is killed at many moments: none is given twice, and each has one end.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use support::arrivals::margin;
use support::commands::{Answer, LocalClient, Plant, Request};
use support::rng::Rng;
use support::wait_until;

const KILLS: usize = 12;
const MANY_KILLS: usize = 100;
const IN_A_ROUND: usize = 25;
const TOPICS: usize = 5;
/// The rest live far longer than the test.
const SHORT: Duration = Duration::from_secs(1);
/// Time for which the gateway is down in each fourth round, in which what lives a second expires.
const DOWN: Duration = Duration::from_millis(2_300);

/// Outcome of a command.
#[derive(Clone, Debug, Default)]
struct Fate {
    given: usize,
    /// Ends that the hub was told, each once: `delivered`, or the reason of a refusal.
    told: BTreeSet<String>,
    is_late: bool,
}

fn id(n: usize) -> String {
    format!("command {n:03}")
}

/// One of four, on each topic in turn.
fn is_short(n: usize) -> bool {
    n % 4 == 1
}

/// Returns the moments since which the hub has each, or longer.
fn publish(hub: SocketAddr, round: usize) -> Vec<(usize, Instant)> {
    let mut accepted = Vec::new();
    for n in round * IN_A_ROUND..(round + 1) * IN_A_ROUND {
        let topic = format!("site7/cmd/{}", n % TOPICS);
        let expiry_s = if is_short(n) { SHORT.as_secs() as u32 } else { 3_600 };
        Request::new(&topic, &id(n)).expiry(expiry_s).id(&id(n)).send(hub);
        accepted.push((n, Instant::now()));
        // So that commands come for the better part of the round.
        thread::sleep(Duration::from_millis(20));
    }
    accepted
}

fn told(answer: Answer) -> String {
    if answer.is_delivered { "delivered".to_owned() } else { answer.reason }
}

/// By command; and those that live a second.
type Fates = (BTreeMap<String, Fate>, BTreeSet<String>);

/// The fates of all commands over the kills, in whose rounds they are published. `work_ms`: of the client, for each.
fn fates(kills: usize, delivery: &str, seed: u64, work_ms: u64) -> Fates {
    let rules = format!(
        "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\nexpiry = \"1h\"\ndelivery = \"{delivery}\"\n"
    );
    let mut plant = Plant::start(&rules);
    let local = LocalClient::slow(plant.listen, "valves", "cmd/#", Duration::from_millis(work_ms));
    let (hub, mut moments) = (plant.hub.address, Rng::new(seed));
    let commands = kills * IN_A_ROUND;
    let mut accepted = BTreeMap::new();
    for round in 0..kills {
        let publisher = thread::spawn(move || publish(hub, round));
        // The moment of the kill.
        thread::sleep(Duration::from_millis(moments.below(1_200)));
        plant.gateway.kill_9();
        thread::sleep(if round % 4 == 3 { DOWN } else { Duration::ZERO });
        plant.gateway.start();
        accepted.extend(publisher.join().unwrap().into_iter().map(|(n, at)| (id(n), at)));
    }
    let long: Vec<_> = (0..commands).filter(|n| !is_short(*n)).map(id).collect();
    wait_until("each long command has an answer", 120, || {
        let ids: BTreeSet<_> = plant.answers.all().into_iter().filter_map(|answer| answer.id).collect();
        long.iter().all(|id| ids.contains(id))
    });
    for n in 0..TOPICS {
        // Copies would be ahead of it.
        let topic = format!("site7/cmd/{n}");
        plant.request(&topic, "the end", 60, &topic);
        assert!(plant.answers.wait(&topic).is_delivered);
    }
    assert_eq!(plant.left_at_hub(), 0);
    let mut fates: BTreeMap<_, _> = (0..commands).map(|n| (id(n), Fate::default())).collect();
    let shorts: BTreeSet<_> = (0..commands).filter(|n| is_short(*n)).map(id).collect();
    // Also those with DUP: a client without a session has none.
    local.given().iter().filter(|given| given.payload != "the end").for_each(|given| {
        let fate = fates.get_mut(&given.payload).unwrap();
        fate.given += 1;
        // The hub's seconds are begun ones.
        let deadline = accepted[&given.payload] + SHORT + Duration::from_secs(1) + margin();
        fate.is_late |= shorts.contains(&given.payload) && given.not_before > deadline;
    });
    for answer in plant.answers.all() {
        if let Some(fate) = fates.get_mut(answer.id.as_ref().unwrap()) {
            fate.told.insert(told(answer));
        }
    }
    let mut summary = BTreeMap::new();
    fates.values().for_each(|fate| *summary.entry(format!("{fate:?}")).or_insert(0) += 1);
    println!("{delivery}: {summary:#?}");
    (fates, shorts)
}

/// One end, given as often as that says, and not late. `is_short`: it may expire, of which a hub that drops it tells nobody.
fn is_in_order(fate: &Fate, is_short: bool) -> bool {
    let mut told = fate.told.iter().map(String::as_str);
    let is_one = match (told.next(), told.next()) {
        (Some("delivered"), None) => fate.given == 1,
        // Nobody knows, and so nobody gives it again.
        (Some("interrupted"), None) => fate.given <= 1,
        (Some("nobody" | "busy" | "not-kept"), None) => fate.given == 0,
        (Some("not-acknowledged"), None) => is_short && fate.given == 1,
        (Some("expired" | "no-expiry") | None, None) => is_short && fate.given == 0,
        _ => false,
    };
    is_one && !fate.is_late
}

/// Judges commands that are given at most once.
fn each_has_one_end(kills: usize, seed: u64) {
    let (fates, shorts) = fates(kills, "at-most-once", seed, 10);
    let is_wrong = |(id, fate): &(&String, &Fate)| !is_in_order(fate, shorts.contains(*id));
    let wrong: Vec<_> = fates.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let delivered = fates.values().filter(|fate| fate.told.contains("delivered")).count();
    assert!(delivered >= fates.len() / 2, "{delivered} were delivered");
    let expired = shorts.iter().filter(|id| fates[*id].given == 0).count();
    assert!(expired > 0 && expired < shorts.len(), "{expired} expired");
}

#[test]
fn over_many_kills_no_command_is_given_twice_and_each_has_one_end() {
    each_has_one_end(KILLS, 11);
}

#[test]
#[ignore = "takes three minutes: cargo test -p edge-gateway --test run_commands_kills -- --ignored"]
fn over_a_hundred_kills_no_command_is_given_twice_and_each_has_one_end() {
    each_has_one_end(MANY_KILLS, 12);
}

/// Negative control: the kills fall between a client's getting a command and the hub's hearing of it.
#[test]
fn over_many_kills_commands_are_given_twice_where_that_is_allowed() {
    // So long that nearly every kill finds one.
    let (fates, shorts) = fates(KILLS, "at-least-once", 11, 40);
    let is_kept = |fate: &Fate| {
        fate.given > 0 && fate.told.contains("delivered") || fate.told == BTreeSet::from(["busy".to_owned()])
    };
    let lost: Vec<_> = fates.iter().filter(|(id, fate)| !shorts.contains(*id) && !is_kept(fate)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(fates.values().any(|fate| fate.given > 1), "none came twice");
    let late: Vec<_> = fates.iter().filter(|(_, fate)| fate.is_late).collect();
    assert!(late.is_empty(), "{late:#?}");
}

#[test]
fn the_judgement_sees_a_copy_a_loss_two_ends_and_a_late_one() {
    let fate = |given, told: &[&str]| Fate {
        given,
        told: told.iter().map(|&end| end.to_owned()).collect(),
        is_late: false,
    };
    for (given, end) in [(1, "delivered"), (1, "interrupted"), (0, "interrupted"), (0, "nobody")] {
        assert!(is_in_order(&fate(given, &[end]), false), "{given} {end}");
        assert!(!is_in_order(&Fate { is_late: true, ..fate(given, &[end]) }, true), "{given} {end}");
    }
    assert!(is_in_order(&fate(0, &[]), true) && !is_in_order(&fate(1, &[]), true));
    assert!(is_in_order(&fate(0, &["expired"]), true) && !is_in_order(&fate(1, &["expired"]), true));
    for (given, told) in [
        (2, &["delivered"][..]),
        (2, &["interrupted"]),
        (0, &["delivered"]),
        (1, &["nobody"]),
        (1, &[]),
        (0, &[]),
        (1, &["delivered", "interrupted"]),
    ] {
        assert!(!is_in_order(&fate(given, told), false), "{given} {told:?}");
    }
}

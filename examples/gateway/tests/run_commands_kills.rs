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
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use support::arrivals::margin;
use support::commands::{Answer, LocalClient, Plant, Request};
use support::rng::Rng;
use support::wait_until;

const KILLS: usize = 12;
const MANY_KILLS: usize = 100;
/// With two slow rounds.
const CONTROL_KILLS: usize = 6;
const IN_A_ROUND: usize = 25;
const TOPICS: usize = 5;
const SHORT: Duration = Duration::from_secs(1);
/// Interval of the rest, far longer than the test.
const LONG_S: u32 = 3_600;
/// Time for which the gateway is down in each fourth round, in which what lives a second expires.
const DOWN: Duration = Duration::from_millis(2_300);
/// Time that its client takes for the first command of each topic in each fourth round. Short ones wait behind it in the gateway, which would give
/// them later than the begun second and any usual margin if it gave them.
const SLOW: Duration = Duration::from_secs(4);

/// Course of the rounds.
struct Trial {
    kills: usize,
    delivery: &'static str,
    seed: u64,
    /// Time that a client takes for any other command.
    work: Duration,
    /// Message Expiry Interval with which the hub gets short commands, in seconds.
    short_s: u32,
}

impl Trial {
    fn at_most_once(kills: usize, seed: u64) -> Self {
        let work = Duration::from_millis(10);
        Self { kills, delivery: "at-most-once", seed, work, short_s: SHORT.as_secs() as u32 }
    }
}

/// Outcome of a command.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fate {
    given: usize,
    /// Ends that the hub was told, each once: `delivered`, or the reason of a refusal.
    told: BTreeSet<String>,
    is_late: bool,
}

fn id(n: usize) -> String {
    format!("command {n:03}")
}

fn number(id: &str) -> Option<usize> {
    id.strip_prefix("command ")?.parse().ok()
}

/// One of four, on each topic in turn.
fn is_short(n: usize) -> bool {
    n % 4 == 1
}

fn is_slow_round(round: usize) -> bool {
    round % 4 == 1
}

/// By the id of a command.
fn is_in_slow_round(id: &str) -> bool {
    number(id).is_some_and(|n| is_slow_round(n / IN_A_ROUND))
}

/// The first of its topic in its round.
fn is_slow(id: &str) -> bool {
    is_in_slow_round(id) && number(id).is_some_and(|n| n % IN_A_ROUND < TOPICS)
}

/// A client of each topic, since what waits for another topic in its socket would hide how late a command came.
fn valves(listen: SocketAddr, work: Duration) -> Vec<LocalClient> {
    let valve = |topic: usize| {
        let begun = Mutex::new(BTreeSet::new());
        // The first time: a copy would be cut off by one kill after the other.
        let work = move |id: &str| {
            if is_slow(id) && begun.lock().unwrap().insert(id.to_owned()) { SLOW } else { work }
        };
        LocalClient::working(listen, &format!("valve {topic}"), &format!("cmd/{topic}"), Box::new(work))
    };
    (0..TOPICS).map(valve).collect()
}

/// Returns the moments since which the hub has each, or longer.
fn publish(hub: SocketAddr, round: usize, short_s: u32) -> Vec<(usize, Instant)> {
    let mut accepted = Vec::new();
    for n in round * IN_A_ROUND..(round + 1) * IN_A_ROUND {
        let topic = format!("site7/cmd/{}", n % TOPICS);
        let expiry_s = if is_short(n) { short_s } else { LONG_S };
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

/// The fates of all commands over the kills, in whose rounds they are published.
fn fates(trial: &Trial) -> Fates {
    let Trial { kills, delivery, short_s, .. } = *trial;
    let rules = format!(
        "[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\nexpiry = \"1h\"\ndelivery = \"{delivery}\"\n"
    );
    let mut plant = Plant::start(&rules);
    let valves = valves(plant.listen, trial.work);
    let (hub, mut moments) = (plant.hub.address, Rng::new(trial.seed));
    let mut accepted = BTreeMap::new();
    for round in 0..kills {
        let publisher = thread::spawn(move || publish(hub, round, short_s));
        thread::sleep(if is_slow_round(round) { SLOW } else { Duration::ZERO });
        // The moment of the kill.
        thread::sleep(Duration::from_millis(moments.below(1_200)));
        plant.gateway.kill_9();
        thread::sleep(if round % 4 == 3 { DOWN } else { Duration::ZERO });
        plant.gateway.start();
        accepted.extend(publisher.join().unwrap().into_iter().map(|(n, at)| (id(n), at)));
    }
    let commands = kills * IN_A_ROUND;
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
    let given = valves.iter().flat_map(LocalClient::given);
    given.filter(|given| given.payload != "the end").for_each(|given| {
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
    println!("{delivery}, short ones with {short_s} s, margin {:?}: {summary:#?}", margin());
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

/// Fates that are not in order.
fn wrong((fates, shorts): &Fates) -> BTreeMap<&str, &Fate> {
    let is_wrong = |(id, fate): &(&String, &Fate)| !is_in_order(fate, shorts.contains(*id));
    fates.iter().filter(is_wrong).map(|(id, fate)| (id.as_str(), fate)).collect()
}

/// Judges commands that are given at most once.
fn each_has_one_end(kills: usize, seed: u64) {
    let fates = fates(&Trial::at_most_once(kills, seed));
    assert_eq!(wrong(&fates), BTreeMap::new());
    let (fates, shorts) = fates;
    let delivered = fates.values().filter(|fate| fate.told.contains("delivered")).count();
    assert!(delivered >= fates.len() / 2, "{delivered} were delivered");
    let told = |id: &&String, end: &str| fates[*id].told.contains(end);
    assert!(shorts.iter().any(|id| told(&id, "delivered")), "no short one was delivered");
    // In the gateway: what expires at Mosquitto is dropped there, or comes without an interval.
    let expired = shorts.iter().filter(|id| is_in_slow_round(id) && told(id, "expired")).count();
    let slow_rounds = (0..kills).filter(|round| is_slow_round(*round)).count();
    println!("{expired} expired behind a slow one, in {slow_rounds} rounds");
    assert!(expired >= slow_rounds, "{expired} expired in {slow_rounds} rounds");
}

#[test]
fn over_many_kills_no_command_is_given_twice_and_each_has_one_end() {
    each_has_one_end(KILLS, 11);
}

#[test]
#[ignore = "takes four minutes: cargo test -p edge-gateway --test run_commands_kills -- --ignored"]
fn over_a_hundred_kills_no_command_is_given_twice_and_each_has_one_end() {
    each_has_one_end(MANY_KILLS, 12);
}

/// Negative control: the kills fall between a client's getting a command and the hub's hearing of it.
#[test]
fn over_many_kills_commands_are_given_twice_where_that_is_allowed() {
    // So long that nearly every kill finds one.
    let work = Duration::from_millis(40);
    let trial = Trial { delivery: "at-least-once", work, ..Trial::at_most_once(KILLS, 11) };
    let (fates, shorts) = fates(&trial);
    let is_kept = |fate: &Fate| {
        fate.given > 0 && fate.told.contains("delivered") || fate.told == BTreeSet::from(["busy".to_owned()])
    };
    let lost: Vec<_> = fates.iter().filter(|(id, fate)| !shorts.contains(*id) && !is_kept(fate)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(fates.values().any(|fate| fate.given > 1), "none came twice");
    let late: Vec<_> = fates.iter().filter(|(_, fate)| fate.is_late).collect();
    assert!(late.is_empty(), "{late:#?}");
}

/// Negative control: a hub that loses the interval of short commands, whose gateway gives them as one that ignores it.
#[test]
fn over_kills_short_commands_with_the_interval_of_long_ones_are_late() {
    let fates = fates(&Trial { short_s: LONG_S, ..Trial::at_most_once(CONTROL_KILLS, 13) });
    let convicted = wrong(&fates);
    for (id, fate) in &convicted {
        let in_time = Fate { is_late: false, ..(*fate).clone() };
        assert!(fates.1.contains(*id) && is_in_order(&in_time, true), "{id}: {fate:?}");
    }
    let rounds: BTreeSet<_> = convicted.keys().filter_map(|id| Some(number(id)? / IN_A_ROUND)).collect();
    let slow_rounds: BTreeSet<_> = (0..CONTROL_KILLS).filter(|round| is_slow_round(*round)).collect();
    assert!(rounds.is_superset(&slow_rounds), "{rounds:?} {fates:#?}");
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

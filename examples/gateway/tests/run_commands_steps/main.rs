//! Kill -9 of the gateway at each step of a command between hub and valve, at a real Mosquitto and at a scripted hub with the manners of RabbitMQ: no
//! valve moves late or, at most once, twice; each command has an answer, and one alone: copies of it have the same Correlation Data and payload, with the same `at`.
//!
//! ```text
//! hub (rabbit, or Mosquitto behind a relay) ─▶ gateway ─▶ valve
//!   └─ answers ───────────▶ ledger ◀── movements ─────────┘
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod hub;
mod ledger;
mod rabbit;
mod site;
mod valve;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hub::{Hub, RealHub};
use ledger::{Ledger, Order, Rule, WHOLE_SECOND};
use rabbit::{Expired, Rabbit};
use site::{AT_ONCE, STEPS, Site, Step};
use support::arrivals::margin;
use support::wait_until;

/// Plants at most once, each killed once at each step: with eleven steps and two hubs 110 kills.
const PLANTS: usize = 5;
/// The same at least once, the control: 66 kills.
const CONTROL_PLANTS: usize = 3;
/// Times for which a gateway is down after a kill, one after the other: some longer than the shortest commands live, even with begun seconds.
const DOWN_MS: [u64; 5] = [0, 2_400, 3_200, 0, 800];
/// Of commands whose time is over when the gateway comes back.
const SHORT_S: u64 = 8;

fn mosquitto(dir: &Path) -> Box<dyn Hub> {
    Box::new(RealHub::start(dir))
}

fn rabbit(expired: Expired) -> impl Fn(&Path) -> Box<dyn Hub> {
    move |_| Box::new(Rabbit::start(expired))
}

/// Ends that commands at a step may have, each with how often the valve moved. `is_second`: those of [`Step::Behind`] that wait.
fn permitted(step: Step, is_once: bool, forgets: bool, is_second: bool) -> &'static [(&'static str, usize)] {
    const ONCE: &[(&str, usize)] = &[("delivered", 1)];
    const TWICE: &[(&str, usize)] = &[("delivered", 2)];
    match (step, is_once) {
        (Step::Behind, _) if is_second => ONCE,
        (Step::Down, _) | (Step::AnswerWithheld | Step::Answered, true) | (Step::NoValve, false) => ONCE,
        (Step::Sent | Step::InSocket, true) => &[("delivered", 1), ("interrupted", 0), ("interrupted", 1)],
        (Step::NoValve, true) => &[("delivered", 1), ("interrupted", 0)],
        (Step::Acknowledged | Step::PubackAtHub, true) => &[("delivered", 1), ("interrupted", 1)],
        (Step::Behind | Step::Received | Step::PubackUnread, true) => &[("interrupted", 1)],
        (Step::Sent | Step::InSocket | Step::Acknowledged | Step::PubackAtHub, false) => {
            &[("delivered", 1), ("delivered", 2)]
        }
        (Step::Behind | Step::Received | Step::PubackUnread, false) => TWICE,
        // A hub that has the PUBACKs sends nothing again, unless it forgets them.
        (Step::AnswerWithheld, false) if !forgets => TWICE,
        (Step::Answered, false) if forgets => TWICE,
        (Step::AnswerWithheld | Step::Answered, false) => ONCE,
    }
}

/// Fate of a command: its ends, and how often a valve moved.
type Fate = (Vec<String>, usize);

/// Kills the gateway of plant `n` at each step, with a delay of its own where the moment is not a state. Returns how many commands had which fate.
fn at_each_step(mut site: Site, is_once: bool, n: usize) -> (Ledger, BTreeMap<(Step, Fate), usize>) {
    let delay = Duration::from_millis(2 * n as u64);
    // The hub that hears while it withholds is the scripted one.
    let forgets = site.hub.hears_while_it_withholds();
    let mut summary = BTreeMap::new();
    for (at, step) in STEPS.into_iter().enumerate() {
        let (name, down) = (format!("{step:?}"), Duration::from_millis(DOWN_MS[(at + n) % DOWN_MS.len()]));
        site.play(step, &name, delay, |_| std::thread::sleep(down));
        let ledger = site.ledger();
        let is_own = |id: &str| id.starts_with(&format!("{name}-")) && !id.contains("-end-") && !is_short(id);
        for Order { id, .. } in ledger.orders.iter().filter(|order| is_own(&order.id)) {
            let (ends, moved) = fate(&ledger, id);
            let permitted = permitted(step, is_once, forgets, id.contains("-second-"));
            let is_permitted = |end: &String| permitted.contains(&(end.as_str(), moved));
            assert!(!ends.is_empty() && ends.iter().all(is_permitted), "{id}: {ends:?}, {moved} times");
            *summary.entry((step, (ends, moved))).or_insert(0) += 1;
        }
    }
    assert_eq!(site.kills, STEPS.len());
    (site.ledger(), summary)
}

/// Ledgers of the plants.
fn ledgers(hub: impl Fn(&Path) -> Box<dyn Hub> + Sync, delivery: &str, plants: usize) -> Vec<Ledger> {
    let play = |n| at_each_step(Site::start(&hub, delivery), delivery == "at-most-once", n);
    let mut summary = BTreeMap::new();
    let ledgers = at_the_same_time((0..plants).map(|n| move || play(n))).into_iter();
    let ledgers = ledgers.map(|(ledger, own)| {
        own.into_iter().for_each(|(fate, count)| *summary.entry(fate).or_insert(0) += count);
        ledger
    });
    let ledgers = ledgers.collect();
    summary.iter().for_each(|((step, (ends, moved)), count)| {
        println!("{delivery}, {step:?}: {count} commands {ends:?}, valve moved {moved} times");
    });
    ledgers
}

/// Results of all plays, in their order; one that fails fails the test.
fn at_the_same_time<T: Send>(plays: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = plays.map(|play| scope.spawn(play)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// It may expire while the gateway is down.
fn is_short(id: &str) -> bool {
    id.contains("-short-")
}

/// A command without an answer that the hub may have dropped, of which it says nothing if `is_untold`.
fn is_dropped_untold(rule: Rule, id: &str, is_untold: bool) -> bool {
    is_untold && rule == Rule::Vanished && is_short(id)
}

/// No rule is broken. Returns how many answers came again, unchanged.
fn assert_at_most_once(hub: impl Fn(&Path) -> Box<dyn Hub> + Sync, is_untold: bool) -> usize {
    let ledgers = ledgers(hub, "at-most-once", PLANTS);
    let (mut in_time, mut over) = (0, 0);
    for ledger in &ledgers {
        let mut wrong = ledger.judge();
        // What a valve had has an answer, whatever the hub drops.
        wrong.retain(|(rule, id)| !is_dropped_untold(*rule, id, is_untold) || ledger.moved(id) > 0);
        assert_eq!(wrong, BTreeSet::new(), "{ledger:#?}");
        for Order { id, .. } in ledger.orders.iter().filter(|order| is_short(&order.id)) {
            *(if ledger.moved(id) > 0 { &mut in_time } else { &mut over }) += 1;
        }
    }
    println!("{in_time} commands were given before they expired, {over} were not; margin {:?}", margin());
    assert!(in_time > PLANTS && over > PLANTS, "{in_time}, {over}: each plant has both");
    let distinct = |ledger: &Ledger| ledger.answers.iter().collect::<BTreeSet<_>>().len();
    let sum = |of: &dyn Fn(&Ledger) -> usize| ledgers.iter().map(of).sum::<usize>();
    let told =
        |ledger: &Ledger| ledger.orders.iter().filter(|order| !ledger.ends(&order.id).is_empty()).count();
    let (orders, answers) = (sum(&told), sum(&distinct));
    let again = sum(&|ledger| ledger.answers.len()) - answers;
    println!(
        "{orders} commands have one end each; {} copies were refused; {again} answers came again",
        answers - orders
    );
    again
}

/// Negative control: the same steps, and at some of them the valve moves twice. None is late or without an answer.
fn assert_at_least_once(hub: impl Fn(&Path) -> Box<dyn Hub> + Sync, is_untold: bool) {
    for ledger in ledgers(hub, "at-least-once", CONTROL_PLANTS) {
        let mut wrong = ledger.judge_at_least_once();
        wrong.retain(|(rule, id)| !is_dropped_untold(*rule, id, is_untold));
        assert_eq!(wrong, BTreeSet::new(), "{ledger:#?}");
        let convicted = ledger.judge();
        for step in ["Received", "PubackUnread", "Behind"] {
            let is_twice =
                |(rule, id): &&(Rule, &str)| *rule == Rule::Twice && id.starts_with(step) && !is_short(id);
            assert_eq!(convicted.iter().filter(is_twice).count(), AT_ONCE, "{step}");
        }
    }
}

#[test]
fn promise_10_killed_at_each_step_at_a_hub_like_rabbitmq_no_valve_moves_twice_and_each_command_has_one_end() {
    let again = assert_at_most_once(rabbit(Expired::SentWithNothingLeft), false);
    assert!(again >= AT_ONCE * PLANTS, "{again} came again: at least those whose PUBACK was withheld");
}

#[test]
fn promise_10_killed_at_each_step_at_mosquitto_no_valve_moves_twice_and_each_command_has_one_end() {
    assert_at_most_once(mosquitto, true);
}

#[test]
fn killed_at_each_step_at_a_hub_like_rabbitmq_valves_move_twice_where_that_is_allowed() {
    assert_at_least_once(rabbit(Expired::Dropped), false);
}

#[test]
fn killed_at_each_step_at_mosquitto_valves_move_twice_where_that_is_allowed() {
    assert_at_least_once(mosquitto, true);
}

/// Negative control: without what it wrote before the valve had the command, the gateway gives it again.
#[test]
fn without_its_identities_a_command_that_a_valve_had_is_given_twice() {
    let mut site = Site::start(rabbit(Expired::Dropped), "at-most-once");
    site.play(Step::Received, "forgotten", Duration::ZERO, Site::forget_identities);
    let ledger = site.ledger();
    let twice = |id| (Rule::Twice, id);
    let expected = ["forgotten-0", "forgotten-1", "forgotten-2"].map(twice);
    assert_eq!(ledger.judge(), BTreeSet::from(expected), "{ledger:#?}");
}

/// Negative control: a hub that does not count down, and a gateway that is down for longer than the command lives.
#[test]
fn killed_at_a_step_at_a_hub_that_does_not_count_down_a_valve_moves_late() {
    let mut site = Site::start(rabbit(Expired::SentAsNew), "at-most-once");
    site.play(Step::Received, "long", Duration::ZERO, |_| std::thread::sleep(Duration::from_secs(5)));
    let ledger = site.ledger();
    let convicted = ledger.judge();
    // The valve may have had the first before the kill.
    assert!(convicted.contains(&(Rule::Late, "long-short-1")), "{convicted:?} {ledger:#?}");
    assert!(convicted.iter().all(|(rule, id)| *rule == Rule::Late && is_short(id)), "{convicted:?}");
}

/// Ledger of commands at four steps, whose time is over when the killed gateway comes back: the valve has `had`, `behind` waits for that, `late`
/// for a valve, `down` at the hub.
fn over_the_expiry(hub: impl Fn(&Path) -> Box<dyn Hub>, delivery: &str) -> Ledger {
    let mut site = Site::start(hub, delivery);
    site.valve.falls_mute();
    site.send("had", "valve", 2, SHORT_S);
    site.wait_for_movements("had", 2);
    site.send("behind", "valve", 2, SHORT_S);
    site.send("late", "late", 2, SHORT_S);
    if delivery == "at-most-once" {
        wait_until("`had` and `late` are begun on disk", 5, || site.begun() >= 4);
    } else {
        // Nothing of it is to be seen.
        std::thread::sleep(Duration::from_millis(200));
    }
    site.kill();
    site.send("down", "valve", 2, SHORT_S);
    // Twice, so that whatever comes then is later than any margin.
    std::thread::sleep(Duration::from_secs(SHORT_S) + 2 * WHOLE_SECOND);
    site.valve.recovers();
    let subscriptions = site.valve.subscriptions();
    site.gateway.start();
    site.valve.is_subscribed_after(subscriptions);
    site.late_valve.comes();
    site.flush("valve", "valve", 2);
    site.flush("late", "late", 2);
    site.ledger()
}

fn fate(ledger: &Ledger, id: &str) -> Fate {
    (ledger.ends(id), ledger.moved(id))
}

/// Both commands of the name have this fate.
#[track_caller]
fn assert_fate(ledger: &Ledger, name: &str, ends: &[&str], moved: usize) {
    for n in 0..2 {
        let id = format!("{name}-{n}");
        assert_eq!(fate(ledger, &id), (ends.iter().map(|&end| end.to_owned()).collect(), moved), "{id}");
    }
}

/// A hub that drops what expires tells nobody, and so nobody is told of what the gateway had not begun.
#[test]
fn promise_10_whatever_expires_while_the_gateway_is_down_moves_no_valve_and_is_told() {
    let expired = [(Expired::SentWithNothingLeft, &["expired"][..]), (Expired::Dropped, &[])];
    at_the_same_time(expired.into_iter().map(|(expired, told)| {
        move || {
            let ledger = over_the_expiry(rabbit(expired), "at-most-once");
            assert_eq!(ledger.judge(), BTreeSet::new(), "{ledger:#?}");
            assert_fate(&ledger, "had", &["interrupted"], 1);
            assert_fate(&ledger, "late", &["interrupted"], 0);
            assert_fate(&ledger, "behind", told, 0);
            assert_fate(&ledger, "down", told, 0);
        }
    }));
}

/// It drops some of what expires in its queue, and sends the rest without the interval that is over.
#[test]
fn promise_10_whatever_expires_at_mosquitto_while_the_gateway_is_down_moves_no_valve() {
    let ledger = over_the_expiry(mosquitto, "at-most-once");
    let wrong: Vec<_> = ledger.judge().into_iter().filter(|(rule, _)| *rule != Rule::Vanished).collect();
    assert!(wrong.is_empty(), "{wrong:?} {ledger:#?}");
    assert_fate(&ledger, "had", &["interrupted"], 1);
    assert_fate(&ledger, "late", &["interrupted"], 0);
    for id in ["behind-0", "behind-1", "down-0", "down-1"] {
        let (ends, moved) = fate(&ledger, id);
        let is_told = ends.is_empty() || ends == ["no-expiry"] || ends == ["expired"];
        assert!(moved == 0 && is_told, "{id}: {ends:?}, {moved} times");
    }
}

/// At least once nothing is kept: of what a valve had, an answer after its expiry is that of a command that nobody had.
#[test]
fn promise_10_at_least_once_nothing_moves_a_valve_after_its_expiry_either() {
    let expired = [(Expired::SentWithNothingLeft, &["expired"][..]), (Expired::Dropped, &[])];
    at_the_same_time(expired.into_iter().map(|(expired, told)| {
        move || {
            let ledger = over_the_expiry(rabbit(expired), "at-least-once");
            assert_eq!(ledger.judge_at_least_once(), BTreeSet::new(), "{ledger:#?}");
            assert_fate(&ledger, "had", told, 1);
            for name in ["behind", "late", "down"] {
                assert_fate(&ledger, name, told, 0);
            }
        }
    }));
}

/// Negative control.
#[test]
fn at_a_hub_that_does_not_count_down_commands_are_late() {
    let ledger = over_the_expiry(rabbit(Expired::SentAsNew), "at-least-once");
    for id in ["had-0", "behind-0", "late-0", "down-0"] {
        assert!(ledger.judge_at_least_once().contains(&(Rule::Late, id)), "{id} {ledger:#?}");
    }
}

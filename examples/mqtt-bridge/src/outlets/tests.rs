use edge_bridge::bridge::topic_rules::Rule;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::server::{Receipts, Sink};
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Version};
use futures_util::FutureExt;

use super::broker_side::PAUSE_MAX;
use super::*;

fn rules(lines: &[&str]) -> Rules {
    Rules::new(lines.iter().map(|line| Rule::parse(line).unwrap()).collect())
}

fn row(topic: &str, payload: &str) -> Row {
    Row::new(Utf8::try_from(topic).unwrap(), payload.to_owned().into())
}

fn payload(row: &Row) -> &str {
    std::str::from_utf8(&row.payload).unwrap()
}

fn is_told(passed_on: &mut PassedOn) -> bool {
    passed_on.now_or_never().is_some()
}

/// A message is done when the last connection that takes it is.
#[tokio::test]
async fn all_connections_that_take_a_message_have_to_have_it() {
    let outlets = Outlets::default();
    let a = outlets.open("a", rules(&["x/# out 1"]));
    let b = outlets.open("b", rules(&["# out 1"]));
    let c = outlets.open("c", rules(&["# both 1"]));
    // It came in by `c`.
    let mut told = outlets.pass_on("c", &row("x/1", "m"));
    assert!(c.lock().waiting.is_empty());
    let ((_, from_a), (_, from_b)) = (a.next().await, b.next().await);
    from_a.done();
    assert!(!is_told(&mut told));
    from_b.done();
    assert!(is_told(&mut told));
    let mut nobody = outlets.pass_on("b", &row("y", "m"));
    c.next().await.1.done();
    assert!(is_told(&mut nobody));
    assert_eq!([a, b, c].map(|outlet| outlet.lock().bytes), [0, 0, 0]);
}

/// Messages that a stopped connection had taken stand before those that came meanwhile, in their order.
#[tokio::test]
async fn what_was_not_finished_comes_again_in_its_place() {
    let outlets = Outlets::default();
    let outlet = outlets.open("a", rules(&["# out 1"]));
    let told: Vec<_> = ["1", "2", "3"].iter().map(|n| outlets.pass_on("b", &row("t", n))).collect();
    let (first, second) = (outlet.next().await, outlet.next().await);
    drop(first);
    drop(second);
    let last = outlets.pass_on("b", &row("t", "4"));
    let mut order = Vec::new();
    for _ in 0..4 {
        let (row, part) = outlet.next().await;
        order.push(payload(&row).to_owned());
        part.done();
    }
    assert_eq!(order, ["1", "2", "3", "4"]);
    for mut told in told.into_iter().chain([last]) {
        assert!(is_told(&mut told));
    }
}

/// A connection that is in the file no more keeps nobody waiting, not even with what it had taken.
#[tokio::test]
async fn a_closed_outlet_wants_nothing() {
    let outlets = Outlets::default();
    let outlet = outlets.open("a", rules(&["# out 1"]));
    let (mut taken, mut waiting) =
        (outlets.pass_on("b", &row("t", "1")), outlets.pass_on("b", &row("t", "2")));
    let (_, part) = outlet.next().await;
    outlets.change(&[]);
    assert!(is_told(&mut waiting));
    assert!(!is_told(&mut taken));
    drop(part);
    assert!(is_told(&mut taken));
    assert!(is_told(&mut outlets.pass_on("b", &row("t", "3"))));
    assert!(outlet.lock().waiting.is_empty());
    assert_eq!(outlet.lock().closed.as_ref().map(|closed| closed.dropped.0), Some(2), "the log tells it");
}

/// SIGHUP: sections have other names. Their messages are acknowledged when they are on the disks of the new ones, and stay in their order, those
/// also that a stopped connection had taken.
#[tokio::test]
async fn what_waits_for_a_removed_connection_goes_to_new_ones_that_take_it() {
    let outlets = Outlets::default();
    let stays = outlets.open("stays", rules(&["x/# out 1"]));
    let former = ["a", "b"].map(|name| outlets.open(name, rules(&[&format!("{name}/# out 1")])));
    let topics = ["a/1", "b/1", "a/2", "a/3", "x/1"];
    let mut told: Vec<_> = topics.map(|topic| outlets.pass_on("c", &row(topic, topic))).into();
    let (_, taken) = former[0].next().await;
    let named = |name, lines: &[&str]| (name, rules(lines));
    let closed = outlets.change(&[
        named("stays", &["x/# out 1"]),
        named("one", &["a/1 out 1", "a/2 out 1", "x/# out 1"]),
        named("both", &["a/1 out 1", "b/# out 1"]),
    ]);
    assert_eq!(closed.len(), 2);
    told.push(outlets.pass_on("c", &row("a/1", "new")));
    drop(taken);
    assert!(!is_told(&mut told[0]));
    let mut order = Vec::new();
    for (name, count) in [("one", 3), ("both", 3)] {
        let outlet = outlets.open(name, Rules::default());
        for _ in 0..count {
            let (row, share) = outlet.next().await;
            order.push(payload(&row).to_owned());
            share.done();
        }
        assert!(outlet.lock().waiting.is_empty() && outlet.lock().bytes == 0);
    }
    assert_eq!(order, ["a/1", "a/2", "new", "a/1", "b/1", "new"]);
    assert_eq!(payload(&stays.next().await.0), "x/1", "what stays has its own");
    let is_over: Vec<_> = told.iter_mut().map(is_told).collect();
    assert_eq!(is_over, [true, true, true, true, false, true]);
    let dropped: Vec<_> =
        closed.iter().map(|outlet| outlet.lock().closed.as_ref().map(|closed| closed.dropped.0)).collect();
    assert_eq!(dropped, [Some(1), Some(0)], "no new one takes a/3");
}

/// SIGHUP moves a line from one section to another, and both stay, or the first takes nothing more. What its disk had not is acknowledged when the
/// other has it, in order with what came while the former flow ended, and goes back to nobody.
#[tokio::test]
async fn what_a_connection_takes_no_more_goes_to_those_that_take_it_now() {
    for a_stays in [true, false] {
        let outlets = Outlets::default();
        let a = outlets.open("a", rules(&["x/# out 1", "z/# out 1"]));
        let b = outlets.open("b", rules(&["y/# out 1"]));
        let mut told: Vec<_> = ["x/1", "x/2"].map(|topic| outlets.pass_on("c", &row(topic, topic))).into();
        let echo = outlets.pass_on("b", &row("x/of-b", ""));
        let (_, taken) = a.next().await;
        let mut plans = vec![("b", rules(&["x/# out 1"])), ("c", rules(&["x/# out 1"]))];
        plans.extend(a_stays.then(|| ("a", rules(&["z/# out 1"]))));
        let closed = outlets.change(&plans);
        told.push(outlets.pass_on("c", &row("x/3", "x/3")));
        let as_before = a_stays.then(|| outlets.pass_on("c", &row("y/1", "y/1")));
        drop(taken);
        if a_stays {
            assert_eq!(payload(&b.next().await.0), "y/1", "the former flow carries what it knows");
        }
        outlets.put_in_force();
        closed.iter().for_each(|outlet| outlet.tell_dropped());
        assert!(told.iter_mut().all(|told| !is_told(told)));
        for (told, topic) in told.iter_mut().zip(["x/1", "x/2", "x/3"]) {
            let (row, share) = b.next().await;
            assert_eq!(row.topic.as_str(), topic);
            share.done();
            assert!(is_told(told));
        }
        let empty = |outlet: &Outlet| outlet.lock().waiting.is_empty() && outlet.lock().later.is_empty();
        let c = outlets.open("c", rules(&["x/# out 1"]));
        assert_eq!(c.lock().waiting.len(), 1, "of b's alone: the others are its own");
        assert!(empty(&a));
        drop((echo, as_before));
        assert!(empty(&b) && empty(&c));
    }
}

/// A message that several took needs nobody for the line that is gone, and one that nobody takes is for its connection to count.
#[tokio::test]
async fn what_another_has_already_does_not_go_to_it_again() {
    let outlets = Outlets::default();
    let a = outlets.open("a", rules(&["x/# out 1", "y/# out 1"]));
    let b = outlets.open("b", rules(&["x/# out 1"]));
    let (mut told, nobodys) = (outlets.pass_on("c", &row("x", "")), outlets.pass_on("c", &row("y", "")));
    b.next().await.1.done();
    assert!(!is_told(&mut told));
    outlets.change(&[("a", rules(&["z out 1"])), ("b", rules(&["x/# out 1", "z out 1"]))]);
    outlets.put_in_force();
    assert!(is_told(&mut told) && b.lock().waiting.is_empty());
    assert_eq!(a.next().await.0.topic.as_str(), "y");
    drop(nobodys);
}

/// A line is moved to a section whose disk fails, too, and moved back: the first one is to have the message again, and nobody has it yet.
#[tokio::test]
async fn what_was_handed_on_and_not_carried_comes_back_with_its_line() {
    for stays in [true, false] {
        let outlets = Outlets::default();
        let a = outlets.open("a", rules(&["x/# out 1"]));
        drop(outlets.open("b", rules(&["y/# out 1"])));
        let mut told = outlets.pass_on("c", &row("x/1", ""));
        let ingest = OutletIngest::new(outlets.clone());
        let before = ingest.lanes_version();
        outlets.change(&[("a", rules(&["z/# out 1"])), ("b", rules(&["x/# out 1"]))]);
        outlets.put_in_force();
        assert!(a.lock().waiting.is_empty() && !is_told(&mut told));
        assert_ne!(ingest.lanes_version(), before, "a message that waits for room looks for its lane again");
        let back = ("a", rules(&["x/# out 1"]));
        let b = ("b", rules(&["y/# out 1"]));
        outlets.change(&if stays { vec![back, b] } else { vec![back] });
        outlets.put_in_force();
        assert!(!is_told(&mut told));
        let (row, share) = a.next().await;
        assert_eq!(row.topic.as_str(), "x/1");
        share.done();
        assert!(is_told(&mut told));
    }
}

/// One change takes the line away, the next one gives it to another section.
#[tokio::test]
async fn what_nobody_took_goes_to_the_first_that_takes_it() {
    let outlets = Outlets::default();
    let a = outlets.open("a", rules(&["x/# out 1"]));
    let b = outlets.open("b", rules(&["y/# out 1"]));
    let _waits = outlets.pass_on("c", &row("x/1", ""));
    for of_b in ["y/# out 1", "x/# out 1"] {
        outlets.change(&[("a", rules(&["z/# out 1"])), ("b", rules(&[of_b]))]);
        outlets.put_in_force();
    }
    assert!(a.lock().waiting.is_empty());
    assert_eq!(b.next().await.0.topic.as_str(), "x/1");
}

/// SIGHUP renames one section and changes the one whose messages wait for it: that one passes them on again when it has started.
#[tokio::test]
async fn what_was_handed_down_is_taken_back_too() {
    let outlets = Outlets::default();
    drop(outlets.open("to", rules(&["# out 1"])));
    let told = ["1", "2"].map(|n| outlets.pass_on("from", &row("t", n)));
    outlets.change(&[("renamed", rules(&["# out 1"]))]);
    let heir = outlets.open("renamed", rules(&["# out 1"]));
    assert_eq!(heir.lock().waiting.len(), 2);
    drop(told);
    assert!(heir.lock().waiting.is_empty() && heir.lock().bytes == 0);
}

/// A connection that is behind stops the reading for a second at most, and one that is full the taking.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_behind_bounds_what_comes_in() {
    let outlets = Outlets::default();
    let outlet = outlets.open("a", rules(&["# out 1"]));
    let mut sink = OutletSink::new(outlets.clone(), Receipts::default());
    let half = "x".repeat(BYTES_MAX / 2);
    assert!(sink.full_lanes() == 0 && !sink.is_busy());
    let _first = outlets.pass_on("b", &row("t", &half));
    assert!(sink.full_lanes() == 0 && sink.is_busy());
    tokio::time::advance(PAUSE_MAX).await;
    assert!(!sink.is_busy());
    let _second = outlets.pass_on("b", &row("t", &half));
    assert_eq!(sink.full_lanes(), 1 << outlet.lane, "who publishes to local clients alone goes on");
    outlet.next().await.1.done();
    assert!(sink.full_lanes() == 0 && !sink.is_busy(), "it counts from the next time on");
    sink.commit();
    outlet.commit_wanted().await;
}

/// A message that no connection takes is for local clients alone.
#[test]
fn a_message_is_stored_as_it_came_if_a_connection_takes_it() {
    let outlets = Outlets::default();
    drop(outlets.open("a", rules(&["x/# out 1 \"\" up/"])));
    let publish = |topic| Publish {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: Utf8::try_from(topic).unwrap(),
        packet_id: None,
        properties: Properties::default(),
        payload: "m".into(),
    };
    let mut taking = OutletIngest::new(outlets);
    let mut ingest = |topic| {
        let message = Inbound::new(Utf8::default(), Version::V5, &publish(topic));
        taking.ingest(Now::default(), &message)
    };
    let Answer::Store(rows) = ingest("x/1") else { panic!("stored") };
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(
        (row.topic.as_str(), payload(row), row.retain, row.possible_duplicate),
        ("x/1", "m", true, true)
    );
    assert_eq!(ingest("y"), Answer::Absorb);
    let group = |of: &OutletIngest| of.group().map(|group| group.number);
    assert_eq!(
        group(&taking),
        Some(LOCAL_ALONE.into()),
        "whoever waits for a connection's disk is not waited for"
    );
}

fn inbound(topic: &str) -> Inbound {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::try_from(topic).unwrap(),
        packet_id: None,
        properties: Properties::default(),
        payload: "m".into(),
    };
    Inbound::new(Utf8::default(), Version::V5, &publish)
}

/// It was: one lane for all, which one connection without a queue closed for everybody.
#[test]
fn a_connection_that_is_full_stops_those_alone_who_publish_what_it_takes() {
    let outlets = Outlets::default();
    let names: Vec<_> = (0..9).map(|n| format!("c{n}")).collect();
    for name in &names {
        drop(outlets.open(name, rules(&[&format!("{name}/# out 1")])));
    }
    drop(outlets.open("c1", rules(&["c1/# out 1", "both/# out 1"])));
    drop(outlets.open("c2", rules(&["c2/# out 1", "both/# out 1"])));
    let ingest = OutletIngest::new(outlets.clone());
    let mut sink = OutletSink::new(outlets.clone(), Receipts::default());
    let has_room = |sink: &mut OutletSink, topic: &str| {
        let lane = ingest.lane(&inbound(topic)).unwrap();
        sink.full_lanes() & 1 << lane == 0
    };
    assert!(has_room(&mut sink, "both/1") && has_room(&mut sink, "c8/1"));
    let much = "x".repeat(BYTES_MAX);
    let _to_c0 = outlets.pass_on("other", &row("c0/1", &much));
    assert!(!has_room(&mut sink, "c0/1"));
    for topic in ["c1/1", "both/1", "c5/1", "c8/1", "local"] {
        assert!(has_room(&mut sink, topic), "{topic}");
    }
    let _to_c1 = outlets.pass_on("other", &row("c1/1", &much));
    for (topic, is_open) in
        [("c0/1", false), ("c1/1", false), ("both/1", false), ("c2/1", true), ("local", true)]
    {
        assert_eq!(has_room(&mut sink, topic), is_open, "{topic}");
    }
    // A lane is free again when its connection goes.
    let kept = names.iter().filter(|name| *name != "c0").map(|name| (name.as_str(), Rules::default()));
    outlets.change(&kept.collect::<Vec<_>>());
    drop(outlets.open("new", rules(&["new/# out 1"])));
    assert!(has_room(&mut sink, "new/1") && has_room(&mut sink, "c0/1") && !has_room(&mut sink, "c1/1"));
}

/// The configuration is read again, and says the same.
#[test]
fn a_connection_with_the_same_rules_still_closes_the_shared_lane() {
    let outlets = Outlets::default();
    drop(outlets.open("a", rules(&["# out 1"])));
    drop(outlets.open("b", rules(&["# out 1"])));
    let mut sink = OutletSink::new(outlets.clone(), Receipts::default());
    assert_eq!(OutletIngest::new(outlets.clone()).lane(&inbound("both")), Some(SHARED));
    let a = outlets.open("a", rules(&["# out 1"]));
    let _waits = outlets.pass_on("b", &row("both", &"x".repeat(BYTES_MAX)));
    assert_eq!(sink.full_lanes(), 1 << a.lane | 1 << SHARED);
    drop(outlets.open("a", rules(&["a/# out 1"])));
    assert_eq!(sink.full_lanes(), 1 << a.lane, "with others it may take nothing of it");
}

/// What a connection gives up is no longer passed on to those that have not begun with it.
#[tokio::test]
async fn a_message_that_is_given_up_waits_nowhere() {
    let outlets = Outlets::default();
    let outlet = outlets.open("a", rules(&["# out 1"]));
    let (first, second) = (outlets.pass_on("b", &row("t", "1")), outlets.pass_on("b", &row("t", "2")));
    let (_, begun) = outlet.next().await;
    drop(first);
    drop(second);
    assert!(outlet.lock().waiting.is_empty());
    begun.done();
    assert_eq!(outlet.lock().bytes, 0);
}

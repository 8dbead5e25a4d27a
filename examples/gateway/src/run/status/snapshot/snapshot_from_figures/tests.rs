//! Situations, and what is said of them.

use edge_bridge::wire::TopicError;

use crate::run::commands::CommandCounts;
use crate::run::queue::queue_account::GoneQueues;
use crate::run::sensors::refused_topic::RefusedTopic;
use crate::run::status::certificates::{End, Role};
use crate::run::status::snapshot::figures::Figures;
use crate::run::status::snapshot::test_snapshots::{NOW, facts, figures, outage, recorder, snapshot};
use crate::run::status::snapshot::{Level, Need};
use crate::run::status::verdict::LosingNow;

use super::*;

mod advice;
mod refused_answers;

fn ids(needs: &[Need]) -> Vec<&str> {
    needs.iter().map(|need| need.id.as_str()).collect()
}

/// Change of good figures.
type Spoil = fn(&mut Figures);

#[test]
fn what_the_hub_refuses_is_counted_in_topics_where_they_are_known() {
    for (topics, said) in [(0, "The hub refuses messages: 0x95."), (2, "The hub refuses 2 topics: 0x95.")] {
        let mut figures = figures();
        let refused = &mut figures.sample.refused;
        (refused.parked, refused.topics, refused.last) = (186, topics, Some("0x95".to_owned()));
        let snapshot = snapshot(&figures);
        let text =
            snapshot.needs.iter().find(|need| need.id == "refused").map(|need| need.text.as_str()).unwrap();
        assert_eq!(text, format!("{said} Kept and tried again: 186 messages."));
    }
}

/// A verdict that asks for a person names what for.
#[test]
fn every_cause_of_a_bad_verdict_is_something_that_needs_a_person() {
    let cases: [(&str, Spoil); 15] = [
        ("store", |figures| figures.queue.fault = Some("no space left on device".to_owned())),
        ("store_gone", |figures| {
            figures.queue.fault = Some("queue.ring is not at its path any more".to_owned());
            figures.queue.is_file_gone = true;
        }),
        ("refused", |figures| figures.sample.refused.parked = 3),
        ("refused", |figures| figures.sample.refused.in_place = 3),
        ("refused", |figures| figures.sample.refused.held = 3),
        ("refused", |figures| figures.sample.refused.topics = 3),
        ("link_refused", |figures| figures.sample.refused.link_refused = true),
        ("taken_over", |figures| figures.sample.taken_over = true),
        ("certificate", |figures| {
            let (at_s, days_left) = (Some(1_800_000_000), 9);
            let (has_ended, is_unreadable, is_foreign) = (false, false, false);
            let end = End {
                role: Role::Hub,
                at_s,
                days_left,
                is_near: true,
                has_ended,
                is_unreadable,
                is_foreign,
                unfit: None,
            };
            figures.sample.certificates = vec![End { is_near: false, ..end }, end];
        }),
        ("time", |figures| {
            figures.sample.counts.suppressed = vec![(edge_filter::DropReason::Future, 2)];
            figures.sample.drops_for_time = true;
        }),
        ("losing", |figures| {
            (figures.sample.verdict, figures.sample.given_up) = (Verdict::Losing, 9);
            figures.sample.losing.without_room = true;
        }),
        ("damage", |figures| {
            (figures.sample.verdict, figures.sample.losing.to_damage) = (Verdict::Losing, true);
            (figures.sample.given_up, figures.sample.damaged) = (66, 66);
        }),
        ("queue_gone", |figures| {
            (figures.sample.verdict, figures.sample.losing.with_queue) = (Verdict::Losing, true);
            figures.sample.given_up = 7;
            figures.sample.gone = GoneQueues { queues: 1, messages: 7 };
        }),
        ("no_room", |figures| {
            (figures.sample.intake.full_lanes, figures.sample.intake.no_room) = (0b10, 3);
        }),
        ("commands", |figures| {
            let commands = CommandCounts::default();
            commands.wrote(&Err(std::io::Error::other("it is a directory")));
            figures.sample.commands = Some(commands);
        }),
    ];
    for (id, spoil) in cases {
        let mut figures = figures();
        figures.sample.verdict = Verdict::Degraded;
        spoil(&mut figures);
        let snapshot = snapshot(&figures);
        let need = snapshot.needs.first().expect("something needs a person");
        assert_eq!((need.id.as_str(), need.level), (id, Level::Act), "{:?}", snapshot.needs);
        assert!(snapshot.sentence.starts_with(&need.text), "{}", snapshot.sentence);
        assert!(need.text.ends_with('.') && need.action.len() > 10, "{need:?}");
    }
    assert_eq!(ids(&snapshot(&figures()).needs), [""; 0]);
}

#[test]
fn what_is_worth_a_look_is_said_and_comes_after_what_is_to_be_done() {
    let mut figures = figures();
    let sample = &mut figures.sample;
    sample.clock_synced = false;
    (sample.counts.undecodable, sample.counts.unrouted, sample.intake.too_large) = (1, 2, 3);
    sample.given_up = 3;
    let mut listener = edge_bridge::listener::Stats::default();
    (listener.refused, listener.closed_for_memory, listener.displaced) = (1, 2, 3);
    listener.topics_refused = 4;
    sample.listener = Some(listener);
    figures.queue.lanes[1].bytes = figures.queue.lanes[1].max_bytes / 100 * 85;
    figures.local_broker_connected = Some(false);
    figures.queue.overdue_ms = 20_000;
    let all = ids(&snapshot(&figures).needs).join(" ");
    assert_eq!(
        all,
        "writer local_broker lost too_large full undecodable unrouted clock clients_refused clients_memory clients_places topics_refused"
    );
}

/// A process that is killed ends when the disk answers, and control of the plant ends at once.
#[test]
fn a_restart_is_advised_for_a_stuck_writer_and_not_for_a_disk_that_hangs() {
    let action = |call_ms| {
        let mut figures = figures();
        (figures.queue.overdue_ms, figures.queue.call_ms) = (20_000, call_ms);
        let needs = snapshot(&figures).needs;
        needs.into_iter().find(|need| need.id == "writer").expect("the writer is late").action
    };
    assert!(action(0).ends_with("restart the gateway."), "{}", action(0));
    assert!(!action(20_000).contains("restart the gateway"), "{}", action(20_000));
}

/// One is enough, and what is not there is not told.
#[test]
fn a_single_event_of_one_kind_is_told_alone() {
    let of = |spoil: Spoil| {
        let mut figures = figures();
        figures.sample.listener = Some(edge_bridge::listener::Stats::default());
        spoil(&mut figures);
        ids(&snapshot(&figures).needs).join(" ")
    };
    let cases: [(&str, Spoil); 10] = [
        ("", |_| ()),
        ("lost", |figures| figures.sample.given_up = 1),
        ("too_large", |figures| figures.sample.intake.too_large = 1),
        ("queue_gone", |figures| figures.sample.gone.queues = 1),
        ("lanes", |figures| figures.sample.found.lanes_unread = true),
        ("other_machine", |figures| figures.sample.found.other_machine = true),
        ("clients_refused", |figures| figures.sample.listener.as_mut().unwrap().refused = 1),
        ("clients_memory", |figures| figures.sample.listener.as_mut().unwrap().closed_for_memory = 1),
        ("clients_places", |figures| figures.sample.listener.as_mut().unwrap().displaced = 1),
        ("clock", |figures| figures.sample.clock_synced = false),
    ];
    for (expected, spoil) in cases {
        assert_eq!(of(spoil), expected);
    }
}

#[test]
fn one_message_is_told_in_the_singular() {
    let mut figures = figures();
    figures.sample.refused.parked = 1;
    figures.sample.gone = GoneQueues { queues: 1, messages: 1 };
    let texts = snapshot(&figures).needs.into_iter().map(|need| need.text).collect::<Vec<_>>().join(" ");
    for said in ["Kept and tried again: 1 message.", "with it went at least 1 message that waited."] {
        assert!(texts.contains(said), "{texts}");
    }
}

/// Only a right is a matter for somebody else than the client's maker.
#[test]
fn a_client_without_a_right_is_named_until_the_rights_change() {
    let told = |refused_topic| {
        let mut figures = figures();
        let mut listener = edge_bridge::listener::Stats::default();
        listener.topics_refused = 12;
        figures.sample.listener = Some(listener);
        let facts = Facts { refused_topic, ..facts() };
        super::snapshot(&facts, NOW, &figures, &recorder(&figures)).needs.remove(0)
    };
    let refused = |error| {
        let (client, user) = ("pump 7".to_owned(), Some("line3".to_owned()));
        Some(RefusedTopic { client, user, topic: "plant/x".to_owned(), error })
    };
    let denied = told(refused(TopicError::Denied));
    assert_eq!((denied.id.as_str(), denied.level), ("topics_refused", Level::Act));
    for part in ["12 messages", "\"pump 7\"", "\"line3\"", "\"plant/x\""] {
        assert!(denied.text.contains(part), "{}", denied.text);
    }
    assert!(denied.action.contains("acl_file"), "{}", denied.action);
    assert_eq!(told(refused(TopicError::Reserved)).level, Level::Look);
    assert_eq!(told(None).level, Level::Look);
}

/// Room is no remedy for a medium that is dying.
#[test]
fn damage_is_not_explained_as_a_full_queue() {
    let told = |losing: LosingNow, damaged| {
        let mut figures = figures();
        figures.sample.verdict = if losing.any() { Verdict::Losing } else { Verdict::Delivering };
        (figures.sample.given_up, figures.sample.damaged, figures.sample.losing) = (70, damaged, losing);
        let needs = snapshot(&figures).needs;
        needs.iter().map(|need| (need.id.clone(), need.level, need.text.clone())).collect::<Vec<_>>()
    };
    let now = |to_damage, without_room| LosingNow { with_queue: false, to_damage, without_room };
    let damaged = |level, count: u64| {
        let text = format!("The store was damaged: {count} messages were lost to it, over all runs.");
        ("damage".to_owned(), level, text)
    };
    let losing = |count: u64| {
        ("losing".to_owned(), Level::Act, format!("Messages are being given up: {count} messages so far."))
    };
    let lost = ("lost".to_owned(), Level::Look, "4 messages were given up, over all runs.".to_owned());
    assert_eq!(told(now(true, false), 70), [damaged(Level::Act, 70)]);
    assert_eq!(told(now(true, false), 66), [damaged(Level::Act, 66), lost.clone()]);
    assert_eq!(told(now(true, true), 66), [losing(4), damaged(Level::Act, 66)]);
    assert_eq!(told(now(false, true), 66), [losing(4), damaged(Level::Look, 66)]);
    assert_eq!(told(now(false, false), 66), [lost, damaged(Level::Look, 66)]);
    assert_eq!(told(now(false, true), 0), [losing(70)]);
}

/// Messages that found no room, or were too large for any, are in no ledger: a restart forgets them.
#[test]
fn losses_before_the_queue_are_told_as_those_of_this_run() {
    let told = |given_up, qos0, answers| {
        let mut figures = figures();
        figures.sample.given_up = given_up;
        figures.sample.intake.answers_without_room = answers;
        let mut listener = edge_bridge::listener::Stats::default();
        listener.qos0_without_room = qos0;
        figures.sample.listener = Some(listener);
        let needs = snapshot(&figures).needs;
        needs.into_iter().find(|need| need.id == "lost").unwrap().text
    };
    assert_eq!(told(1, 0, 0), "1 message was given up, over all runs.");
    assert_eq!(told(1, 1, 0), "1 message was given up before the queue, in this run.");
    assert_eq!(
        told(5, 1, 2),
        "5 messages were given up: 2 by the queue, over all runs; 3 before it, in this run."
    );
}

#[test]
fn one_message_is_one_in_the_sentence() {
    let mut figures = figures();
    (figures.sample.given_up, figures.sample.damaged) = (1, 1);
    let described = snapshot(&figures);
    assert_eq!(described.needs[0].text, "The store was damaged: 1 message was lost to it, over all runs.");
    assert!(described.sentence.contains(" 1 message was lost earlier."), "{}", described.sentence);
    figures.sample.verdict = Verdict::CatchingUp;
    figures.sample.queue_messages = 1;
    let sentence = snapshot(&figures).sentence;
    assert!(sentence.contains("1 message that had to wait is on its way"), "{sentence}");
}

#[test]
fn what_is_damaged_names_its_evidence() {
    let mut figures = figures();
    (figures.sample.given_up, figures.sample.damaged) = (1, 1);
    let [need] = &snapshot(&figures).needs[..] else { panic!("one need") };
    for part in ["/var/lib/edge-gateway/bad", "dying", "docs/operations.md"] {
        assert!(need.action.contains(part), "{need:?}");
    }
}

/// Commands are refused until a write succeeds again.
#[test]
fn a_ledger_of_commands_that_is_written_again_needs_nobody() {
    let mut figures = figures();
    let commands = CommandCounts::default();
    figures.sample.commands = Some(commands.clone());
    assert_eq!(ids(&snapshot(&figures).needs), [""; 0]);
    commands.wrote(&Err(std::io::Error::other("it is a directory")));
    let [need] = &snapshot(&figures).needs[..] else { panic!("one need") };
    assert_eq!((need.id.as_str(), need.level), ("commands", Level::Act));
    assert!(need.text.contains("it is a directory") && need.action.contains("/commands"), "{need:?}");
    commands.wrote(&Ok(()));
    assert_eq!(ids(&snapshot(&figures).needs), [""; 0]);
}

/// On its way, without room, or held at the door: none of them is in the queue.
#[test]
fn what_is_not_yet_in_the_queue_is_counted_once() {
    let mut figures = figures();
    (figures.sample.intake.on_the_way, figures.sample.intake.no_room) = (1, 20);
    let mut listener = edge_bridge::listener::Stats::default();
    listener.held = 300;
    figures.sample.listener = Some(listener);
    assert_eq!(snapshot(&figures).queue.not_queued, 321);
}

#[test]
fn a_ledger_that_does_not_add_up_needs_a_person() {
    let mut figures = figures();
    figures.totals.as_mut().unwrap().hub.accepted += 1;
    let snapshot = snapshot(&figures);
    assert_eq!(ids(&snapshot.needs), ["ledger"]);
    assert_eq!(snapshot.ledger.map(|ledger| ledger.difference), Some(1));
}

#[test]
fn nothing_is_said_to_be_kept_that_was_not() {
    let said = |change: fn(&mut Figures)| {
        let mut figures = outage();
        change(&mut figures);
        snapshot(&figures).sentence
    };
    assert!(said(|_| ()).contains("Nothing has been lost. 10 messages expired unsent."), "{}", said(|_| ()));
    let lost = said(|figures| figures.sample.given_up = 2);
    assert!(lost.contains("2 messages were lost earlier.") && !lost.contains("Nothing"), "{lost}");
    let dropped = said(|figures| {
        figures.sample.counts.suppressed = vec![(edge_filter::DropReason::OutOfOrder, 2)];
    });
    assert!(dropped.contains("No message was given up.") && !dropped.contains("Nothing"), "{dropped}");
}

/// At the present rate, and without one that is not known.
#[test]
fn an_outage_says_how_long_it_can_last() {
    let snapshot = snapshot(&outage());
    assert_eq!((snapshot.since_s, snapshot.link.since_s), (7_980, 7_980));
    assert!(!snapshot.link.is_up && snapshot.link.cause.is_some());
    // 64 MiB of 250 bytes each at 11.4 a second, and 90 972 are there.
    let room_s = snapshot.room.seconds.unwrap();
    assert!((15_000..16_000).contains(&room_s), "{room_s}");
    assert_eq!(
        (snapshot.room.limit.as_deref(), snapshot.room.lane.as_deref()),
        (Some("max_bytes"), Some("telemetry"))
    );
    assert!(snapshot.sentence.contains("there is room for 4 h"), "{}", snapshot.sentence);
    assert!((11.0..12.0).contains(&snapshot.rates.accepted_per_s), "{:?}", snapshot.rates);
    assert_eq!(snapshot.rates.delivered_per_s, 0.0);
}

/// The status lists 32 routes, and `check --measured` sizes by all of them.
#[test]
fn raw_messages_of_a_route_that_is_not_listed_are_measured() {
    let facts = Facts { raw_routes: vec![true; 40], more_routes: 38, ..facts() };
    let mut figures = figures();
    figures.routes = vec![RouteFigures::default(); 40];
    figures.routes[39] = RouteFigures { messages: 3, payload_bytes: 390, filtered: None };
    let recorder = recorder(&figures);
    let raw_bytes = |facts: &Facts| super::snapshot(facts, NOW, &figures, &recorder).load.unwrap().raw_bytes;
    assert_eq!(raw_bytes(&facts), Some(130));
    assert_eq!(raw_bytes(&Facts { raw_routes: vec![false; 40], ..facts }), None, "readings have no payload");
}

#[test]
fn catching_up_says_how_long_it_takes() {
    let mut figures = figures();
    figures.sample.verdict = Verdict::CatchingUp;
    figures.sample.link = LinkState::Draining;
    figures.sample.queue_messages = 1_000;
    let mut recorder = Recorder::new(NOW.up_ms - 60_000);
    for second in 0..=60 {
        let mut look = look(&figures);
        let flow = look.flow.as_mut().unwrap();
        flow.delivered += second * 20;
        flow.accepted += second * 10;
        recorder.note(NOW.up_ms - 60_000 + second * 1_000, &look);
    }
    let said = super::snapshot(&facts(), NOW, &figures, &recorder).sentence;
    assert!(
        said.contains("1\u{202f}000 messages that had to wait are on their way, about 1 min 40 s at"),
        "{said}"
    );
}

#[test]
fn without_a_queue_the_cause_comes_first_and_nothing_is_invented() {
    let (cause, verdict) = ("/srv/q: it is no directory", Verdict::Degraded);
    let state = WithoutQueue { cause, verdict, lost: 0, clock_synced: true, not_queued: 4 };
    let snapshot = without_queue(&facts(), NOW, &state, &recorder(&figures()));
    assert_eq!(ids(&snapshot.needs), ["no_queue"]);
    let lost = without_queue(&facts(), NOW, &WithoutQueue { lost: 1, ..state }, &recorder(&figures()));
    assert_eq!(ids(&lost.needs), ["no_queue", "losing"]);
    assert!(lost.needs[1].text.starts_with("1 message at QoS 0"), "{}", lost.needs[1].text);
    assert!(snapshot.sentence.contains(cause), "{}", snapshot.sentence);
    assert_eq!((snapshot.queue.open, snapshot.ledger.is_none(), snapshot.room.seconds), (false, true, None));
    assert_eq!((snapshot.link.state.as_str(), snapshot.queue.not_queued), ("offline", 4));
}

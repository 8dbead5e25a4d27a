use std::path::Path;

use bytes::Bytes;
use control_loop::mqtt::Said;
use edge_bridge::ingest::Ingest;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Version};
use tokio::sync::mpsc;

use crate::config::{AlarmCommands, Config};
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::log::captured_log::captured;

use super::*;

const RULES: &str = "[[alarm]]\nmatch = \"#\"\nmax_shelve_ms = 60000\nhigh = { limit = 90.0 }\n";

/// Two filtered routes, and one that takes all the rest as it comes.
pub(crate) struct Rig {
    pub(crate) ingest: GatewayIngest,
    pub(crate) to_keep: Arc<Notify>,
    said: std::cell::RefCell<mpsc::Receiver<Said>>,
}

pub(crate) fn rig() -> Rig {
    rig_of(Some(hmi()), true)
}

fn hmi() -> AlarmCommands {
    AlarmCommands { clients: Some(vec!["hmi".to_owned()]), per_minute: 9, hub: false }
}

fn rig_of(commands: Option<AlarmCommands>, has_room: bool) -> Rig {
    let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub\"\n\
        [[route]]\nmatch = \"a/#\"\nto = \"up\"\nformat = \"json\"\n\
        [[route]]\nmatch = \"b/#\"\nto = \"up\"\nformat = \"json\"\n[[route]]\nmatch = \"#\"\n";
    let (mut config, _) = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
    config.routes.iter_mut().take(2).for_each(|route| route.rules = Some(RULES.to_owned()));
    let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(Now::default(), true)).unwrap();
    let (to_say, said) = mpsc::channel(99);
    let to_keep = Arc::<Notify>::default();
    if let Some(commands) = commands {
        ingest.obey(AlarmDispatcher::new(commands, to_say), to_keep.clone(), move |_| has_room);
    }
    Rig { ingest, to_keep, said: said.into() }
}

impl Rig {
    fn message(&self, client: &str, topic: &str, payload: &str, ms: u64) -> Answer {
        self.publish(client, topic, payload, false, ms)
    }

    fn publish(&self, client: &str, topic: &str, payload: &str, retain: bool, ms: u64) -> Answer {
        self.show(&inbound(client, topic, payload, retain), ms)
    }

    fn show(&self, message: &Inbound, ms: u64) -> Answer {
        self.ingest.clone().ingest(Now { up_ms: ms, wall_ms: ms as i64 }, message)
    }

    /// As a reading of this sensor, by the first route.
    pub(crate) fn reading(&self, sensor: &str, value: f64, ms: u64) -> Answer {
        self.message("s", "a/x", &format!("{{\"sensor\":\"{sensor}\",\"value\":{value:?}}}"), ms)
    }

    pub(crate) fn shelve(&self, sensor: &str) {
        let answer = self.message("hmi", &format!("cmd/alarm/{sensor}/HI/shelve"), "60000", 2);
        assert!(matches!(answer, Answer::Store(_)));
    }

    fn said(&self) -> Vec<(String, serde_json::Value)> {
        let mut said = self.said.borrow_mut();
        let parsed =
            |said: Said| (said.topic.as_str().to_owned(), serde_json::from_slice(&said.payload).unwrap());
        let next = || {
            let next = said.try_recv().ok()?;
            self.ingest.tell_waiting_alarms();
            Some(next)
        };
        std::iter::from_fn(next).map(parsed).collect()
    }

    fn transition(&self) -> String {
        self.said().last().unwrap().1["transition"].to_string()
    }
}

fn inbound(client: &str, topic: &str, payload: &str, retain: bool) -> Inbound {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain,
        topic: Utf8::try_from(topic).unwrap(),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::from(payload.to_owned()),
    };
    let mut message = Inbound::new(Utf8::try_from(client).unwrap(), Version::V5, &publish);
    message.peer = Some("192.0.2.7:4711".parse().unwrap());
    message
}

fn states(answer: &Answer) -> Vec<String> {
    let Answer::Store(rows) = answer else { panic!("{answer:?}") };
    let alarms = rows.iter().filter(|row| row.lane == Some(0));
    let shown = |row: &Row| {
        let row = ReadingRow::decode(&row.payload).unwrap();
        format!("{} {:?} {}", row.sensor, row.value, row.time)
    };
    alarms.map(shown).collect()
}

#[test]
fn a_command_is_obeyed_told_and_a_reading_for_the_hub() {
    let rig = rig();
    let raised = rig.reading("t", 95.0, 1_000);
    assert_eq!(states(&raised), ["t/alarm/HI Text(\"UNACK_ALM\") 1000"]);
    let transition = rig.transition();
    let answer = rig.message("hmi", "cmd/alarm/t/HI/ack", &transition, 2_000);
    assert_eq!(states(&answer), ["t/alarm/HI Text(\"ACK_ALM\") 2000"]);
    let told = rig.said();
    let [(topic, event)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (topic.as_str(), &event["state"], &event["from"]),
        ("event/alarm/t/HI", &"ACK_ALM".into(), &"UNACK_ALM".into())
    );
    let (kept, waiting) = rig.ingest.alarms_to_keep();
    assert_eq!((kept.len(), kept[0].filter_topic.as_str(), waiting), (1, "a/#", 1));
    let answers = rig.ingest.alarms_are_kept(waiting);
    let answer = answers.into_iter().next().unwrap().answer(None, 0, 7).unwrap();
    assert_eq!(answer.topic.as_str(), "event/command/alarm/t/HI/ack");
    assert_eq!(
        answer.line.unwrap(),
        format!("command \"alarm/t/HI/ack\" \"{transition}\" of client \"hmi\" from 192.0.2.7:4711: obeyed")
    );
    assert_eq!(rig.ingest.alarms_to_keep().1, 0, "answered once");
    // Shelved again: nothing to be seen, and nothing to be stored.
    rig.shelve("t");
    assert_eq!(rig.message("hmi", "cmd/alarm/t/HI/shelve", "50000", 3_000), Answer::Store(Vec::new()));
}

#[test]
fn a_refused_command_has_its_reason_and_moves_nothing() {
    let rig = rig();
    rig.reading("t", 95.0, 1_000);
    rig.message("s", "b/x", "{\"sensor\":\"twice\",\"value\":1.0}", 1_000);
    rig.reading("twice", 1.0, 1_000);
    let transition = rig.transition();
    for (client, topic, payload, expected) in [
        ("hmi", "cmd/alarm/u/HI/reset", "", "no sensor of this name has an alarm, or none was heard of"),
        ("hmi", "cmd/alarm/t/LO/reset", "", "the sensor has no alarm with such a limit"),
        ("hmi", "cmd/alarm/t/HI/ack", "7", "the acknowledgement is for another occurrence"),
        ("hmi", "cmd/alarm/t/HI/reset", "", "the process is still in alarm"),
        ("hmi", "cmd/alarm/t/HI/unshelve", "", "the alarm is not shelved"),
        ("hmi", "cmd/alarm/t/HI/shelve", "60001", "an alarm may be shelved for 1 ms to 60000 ms"),
        ("hmi", "cmd/alarm/t/HI/shelve", "-1", "an alarm may be shelved for 1 ms to 60000 ms"),
        ("hmi", "cmd/alarm/twice/HI/shelve", "1", "several routes have a sensor of this name"),
        ("hmi", "cmd/alarm/t/HI/shelve", "soon", "the payload must be milliseconds"),
        ("hmi", "cmd/alarm/t/HI/silence", "", "no such command"),
        ("hmi", "cmd/alarm/", "", "no such command"),
        ("thief\n", "cmd/alarm/t/HI/ack", transition.as_str(), "this client may not command it"),
        ("hmi", "cmd/alarm/t/HI/ack", &" ".repeat(65), "the payload is longer than any of a command"),
    ] {
        assert_eq!(rig.message(client, topic, payload, 2_000), Answer::Absorb, "{topic}");
        let said = rig.said();
        let [(told, event)] = &said[..] else { panic!("{topic}: {said:?}") };
        let reason = event["reason"].as_str().unwrap();
        assert!(reason.starts_with(expected), "{topic}: {reason}");
        assert_eq!(told, &topic.replace("cmd/", "event/refused/"));
        assert!(!event["client"].as_str().unwrap().contains('\n'));
    }
    assert_eq!(rig.publish("hmi", "cmd/alarm/t/HI/ack", &transition, true, 2_000), Answer::Absorb);
    assert!(rig.said()[0].1["reason"].as_str().unwrap().starts_with("retained"));
    let mut will = inbound("hmi", "cmd/alarm/t/HI/ack", &transition, false);
    will.will = true;
    assert_eq!(rig.show(&will, 2_000), Answer::Absorb);
    assert!(rig.said()[0].1["reason"].as_str().unwrap().starts_with("a will: "));
    let obeyed = rig.message("hmi", "cmd/alarm/t/HI/ack", &transition, 2_000);
    assert_eq!(states(&obeyed), ["t/alarm/HI Text(\"ACK_ALM\") 2000"]);
    assert_eq!(rig.ingest.counts().unrouted, 0);
}

#[test]
fn commands_are_rate_limited_and_a_flood_is_counted_rather_than_told() {
    let rig = rig();
    rig.reading("t", 95.0, 1);
    rig.said();
    (0..9).for_each(|_| rig.shelve("t"));
    assert_eq!(rig.ingest.alarms_to_keep().1, 9);
    rig.said();
    for _ in 0..2_000 {
        assert_eq!(rig.message("hmi", "cmd/alarm/t/HI/unshelve", "", 3), Answer::Absorb);
    }
    let said = rig.said();
    assert_eq!(said.len(), 20);
    assert_eq!(said[0].1["reason"], "more commands than alarms.per_minute");
    let answer = rig.message("hmi", "cmd/alarm/t/HI/unshelve", "", 60_003);
    assert_eq!(states(&answer), ["t/alarm/HI Text(\"UNACK_ALM\") 60003"], "a new occurrence");
    rig.message("thief", "cmd/alarm/t/HI/unshelve", "", 60_004);
    assert_eq!(rig.said().last().unwrap().1["more"], 1_980);
}

/// One cause raises the alarms of a whole plant, and operators acknowledge by the transition that each event has.
#[test]
fn each_change_is_told_however_many_come_at_once() {
    let rig = rig();
    let readings: Vec<_> = (0..300).map(|n| format!("{{\"sensor\":\"t{n}\",\"value\":95.0}}")).collect();
    let raised = rig.message("s", "a/x", &format!("[{}]", readings.join(",")), 1_000);
    assert_eq!(states(&raised).len(), 300);
    let topics: Vec<_> = rig.said().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, (0..300).map(|n| format!("event/alarm/t{n}/HI")).collect::<Vec<_>>());
    // Nobody publishes, and an alarm chatters.
    let lines = captured(|| {
        for ms in 2..40_002 {
            rig.reading("t", if ms % 2 == 0 { 95.0 } else { 20.0 }, ms);
        }
        assert!((16_384..40_000).contains(&rig.said().len()), "a bounded number waits");
    });
    assert_eq!(lines.matches("local clients were not told of all").count(), 1, "{lines}");
}

#[test]
fn without_commands_their_topics_are_as_any_other() {
    let rig = rig_of(None, true);
    let Answer::Store(rows) = rig.message("hmi", "cmd/alarm/t/HI/reset", "", 1) else { panic!("stored") };
    assert_eq!(rows[0].topic.as_str(), "cmd/alarm/t/HI/reset");
    assert_eq!(rig.ingest.lane(&Inbound::new(Utf8::default(), Version::V5, &command())), Some(1));
    let rig = self::rig();
    assert_eq!(rig.ingest.lane(&Inbound::new(Utf8::default(), Version::V5, &command())), None);
    let Answer::Store(rows) = rig.message("hmi", "cmd/other", "", 1) else { panic!("stored") };
    assert_eq!(rows[0].topic.as_str(), "cmd/other", "only the alarms' topics are taken");
}

fn command() -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Utf8::from_static("cmd/alarm/t/HI/reset"),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::new(),
    }
}

/// An acknowledgement of the last run holds for the alarm that still stands, and not for the next one.
#[test]
fn a_restored_acknowledgement_ends_when_the_alarm_returns_to_normal() {
    let before = rig();
    before.reading("t", 95.0, 1_000);
    let transition = before.transition();
    before.message("hmi", "cmd/alarm/t/HI/ack", &transition, 2_000);
    let (kept, _) = before.ingest.alarms_to_keep();

    let after = rig();
    let told = after.ingest.restore_alarms(Now { up_ms: 0, wall_ms: 3_000 }, kept.clone());
    assert!(told.iter().all(|row| row.possible_duplicate));
    let told = states(&Answer::Store(told));
    assert_eq!(told, ["t/alarm/HI Text(\"ACK_ALM\") 3000"], "the last run's rows may be lost");
    assert_eq!(after.ingest.alarms_to_keep().0, kept);
    assert!(states(&after.reading("t", 96.0, 4_000)).is_empty(), "acknowledged");
    let is_told = || is_notified(&after.to_keep);
    assert!(!is_told());
    assert_eq!(states(&after.reading("t", 20.0, 5_000)), ["t/alarm/HI Text(\"NORM\") 5000"]);
    assert!(is_told() && after.ingest.alarms_to_keep().0.is_empty(), "the file has to follow");
    assert_eq!(states(&after.reading("t", 95.0, 6_000)), ["t/alarm/HI Text(\"UNACK_ALM\") 6000"]);
    assert!(!is_told(), "readings alone write nothing");
}

/// Otherwise a kill would bring back a shelving that ended with its route.
#[test]
fn the_file_follows_a_change_of_the_routes() {
    let rig = rig();
    let _rows = rig.reading("t", 95.0, 1);
    rig.shelve("t");
    assert!(is_notified(&rig.to_keep));
    assert_eq!(rig.ingest.alarms_to_keep().0.len(), 1);
    rig.ingest.change_routes(Now { up_ms: 3, wall_ms: 3 }, &[], |_, _| {}).unwrap();
    assert!(rig.ingest.alarms_to_keep().0.is_empty());
    assert!(is_notified(&rig.to_keep));
}

/// Returns whether somebody was told since the last look.
fn is_notified(notify: &Notify) -> bool {
    let mut told = std::pin::pin!(notify.notified());
    told.as_mut().enable()
}

/// A command that waits would be obeyed when nobody means it any more: a shelving would begin hours later.
#[test]
fn a_command_that_finds_no_room_is_refused_and_never_obeyed_later() {
    let rig = rig_of(Some(hmi()), false);
    let _rows = rig.reading("t", 95.0, 1);
    rig.said();
    let answer = rig.message("hmi", "cmd/alarm/t/HI/shelve", "60000", 2);
    assert!(matches!(answer, Answer::Absorb));
    let said = rig.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "event/refused/alarm/t/HI/shelve");
    assert_eq!(said[0].1["reason"], "the queue has no room for it now");
    assert!(rig.ingest.alarms_to_keep().0.is_empty());
}

/// Commands to alarms that nobody has do not use up the operators' minute.
#[test]
fn commands_to_unknown_alarms_take_no_place_of_the_minute() {
    let rig = rig();
    let _rows = rig.reading("t", 95.0, 1);
    for n in 0..50 {
        let answer = rig.message("hmi", &format!("cmd/alarm/none{n}/HI/reset"), "", 2);
        assert!(matches!(answer, Answer::Absorb));
    }
    rig.shelve("t");
}

/// The hub is no client: it needs the key, is bounded apart from the clients, and hears each end, though refusals are told locally only so often.
#[test]
fn promise_10_the_hub_commands_alarms_where_it_may_and_hears_each_end() {
    let give = |rig: &Rig, topic: &str, payload: &str, ms: u64| {
        let (reply, end) = tokio::sync::oneshot::channel();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::try_from(topic).unwrap(),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from(payload.to_owned()),
        };
        let (rows, _) = rig.ingest.hub_alarm_command(Now { up_ms: ms, wall_ms: ms as i64 }, &publish, reply);
        (rows, end)
    };
    let closed = rig();
    closed.reading("t", 95.0, 1_000);
    let (rows, mut end) = give(&closed, "cmd/alarm/t/HI/shelve", "60000", 1_001);
    let refusal = end.try_recv().unwrap().unwrap_err();
    assert_eq!((rows.len(), refusal.as_str()), (0, "the hub may not command it: [alarms] hub = true"));

    let rig = rig_of(Some(AlarmCommands { hub: true, ..hmi() }), true);
    rig.reading("t", 95.0, 1_000);
    rig.said();
    let (rows, mut end) = give(&rig, "cmd/alarm/t/HI/shelve", "60000", 1_001);
    assert_eq!(states(&Answer::Store(rows)), ["t/alarm/HI Text(\"SHELVED\") 1001"]);
    assert!(end.try_recv().is_err(), "not before its state is on disk");
    let answer = rig.ingest.alarms_are_kept(1).remove(0).answer(None, 0, 7).unwrap();
    assert_eq!(end.try_recv().unwrap(), Ok(()));
    assert_eq!(answer.line.unwrap(), "command \"alarm/t/HI/shelve\" \"60000\" of the hub: obeyed");
    let event: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!((&event["hub"], event.get("client")), (&true.into(), None));
    // What clients use up is theirs, and the other way round.
    (0..9).for_each(|n| drop(rig.message("hmi", "cmd/alarm/t/HI/unshelve", "", 1_010 + n)));
    let ends: Vec<_> = (0..40)
        .map(|n| give(&rig, "cmd/alarm/t/HI/ack", "1", 1_100 + n).1.try_recv().unwrap().unwrap_err())
        .collect();
    let beyond = ends.iter().filter(|end| end.as_str() == "more commands than alarms.per_minute").count();
    assert_eq!((ends.len(), beyond), (40, 40 - 8), "{ends:?}");
    let (_, mut end) = give(&rig, "cmd/alarm/nobody/HI/ack", "1", 90_000);
    assert!(end.try_recv().unwrap().unwrap_err().starts_with("no sensor of this name"));
}

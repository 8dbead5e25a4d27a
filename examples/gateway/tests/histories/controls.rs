//! Negative controls: a fault planted in good records is convicted by the rule that is meant for it.

mod windows;

use super::judge::{RULES, Rule, judge};
use super::record::{Content, Filter, Gap, Message, Reading, Records, Row, Run, Value, Whole};

const START: i64 = 1_790_000_000_000;

/// A ramp of 30 readings, one each second, and a raw message; the filter keeps what it should.
fn good(filter: Filter) -> Records {
    let mut records = Records { fifo: true, ended_ms: START + 30_000, ..Records::default() };
    let sent = || Message { acked: Some(0), ahead_of_ms: i64::MAX, ..Message::default() };
    let run = Run { filters: vec![filter], withholds: vec![true], killed: false, offsets_ms: (0, 0) };
    records.runs = vec![run.clone(), run];
    for index in 0..30 {
        let time = START + index as i64 * 1_000;
        let value = Value::Float(if index < 20 { index as f64 / 4.0 } else { 9.0 });
        let (sensor, unit) = ("plant/r0/a".to_owned(), "Cel".to_owned());
        let reading = Reading { sensor, index, time: Some(time), value, quality: 0, unit, beside: false };
        let is_kept = match filter {
            Filter::Deadband(_) => index == 20 || (index < 20 && index % 3 == 0),
            Filter::Sample(n) => index % n == 0,
            Filter::Door(_) => [0, 19, 20, 29].contains(&index),
            _ => true,
        };
        if is_kept {
            records.rows.push(row(&reading, records.rows.len() as u64));
        }
        let payload = format!("{index}");
        let (topic, content) = (reading.sensor.clone(), Content::Readings(vec![reading]));
        records.messages.push(Message { topic, payload, content, sent_ms: time, ..sent() });
    }
    let (topic, payload) = ("plant/raw".to_owned(), "raw".to_owned());
    let content = Content::Whole("up/plant/raw".to_owned());
    let whole = Message { topic, payload: payload.clone(), content, ..sent() };
    records.messages.push(whole);
    records.wholes.push(Whole { id: "1".to_owned(), pd: false, topic: "up/plant/raw".to_owned(), payload });
    records
}

fn row(reading: &Reading, seq: u64) -> Row {
    Row {
        id: (7, 1, 1, seq),
        pd: false,
        batch: seq as usize,
        sensor: reading.sensor.clone(),
        time: reading.time.unwrap(),
        value: reading.value.clone(),
        quality: reading.quality,
        unit: reading.unit.clone(),
    }
}

const FILTERS: [Filter; 5] =
    [Filter::None, Filter::Deadband(0.5), Filter::Door(0.1), Filter::OnChange, Filter::Sample(3)];

/// The gateway gave all times.
fn without_stamps(records: &mut Records) {
    for message in &mut records.messages {
        if let Content::Readings(readings) = &mut message.content {
            readings.iter_mut().for_each(|reading| reading.time = None);
        }
    }
}

fn gap(first_seq: u64, last_seq: u64) -> Gap {
    Gap { lane: 1, reason: "overflow".to_owned(), first_seq, last_seq, count: last_seq - first_seq + 1 }
}

type Fault = (Rule, &'static str, fn(&mut Records));

const FAULTS: [Fault; 32] = [
    (Rule::Lost, "a dropped row", |records| drop(records.rows.remove(1))),
    (Rule::Lost, "no row at all", |records| records.rows.clear()),
    (Rule::Lost, "a raw message that did not arrive", |records| records.wholes.clear()),
    (Rule::Uncounted, "two dropped, one counted", |records| {
        records.wholes.clear();
        records.rows.retain(|row| row.time != START);
        records.dropped = 1;
    }),
    (Rule::Gap, "a loss that the hub is not told of", |records| records.dropped_before_last = 1),
    (Rule::Gap, "two told, one lost", |records| {
        records.gaps = vec![gap(0, 0), gap(3, 3)];
        records.dropped = 1;
    }),
    (Rule::Gap, "more than the range has", |records| {
        records.gaps = vec![Gap { count: 2, ..gap(3, 3) }];
        records.dropped = 2;
    }),
    (Rule::Value, "another value", |records| records.rows[1].value = Value::Float(77.0)),
    (Rule::Value, "an integer in place of a float", |records| records.rows[0].value = Value::Int(0)),
    (Rule::Value, "a zero with another sign", |records| records.rows[0].value = Value::Float(-0.0)),
    (Rule::Value, "a raw message under another topic", |records| records.wholes[0].topic.push('x')),
    (Rule::Unit, "another unit", |records| records.rows[1].unit = "F".to_owned()),
    (Rule::Unit, "no unit", |records| records.rows[1].unit.clear()),
    (Rule::Quality, "another quality", |records| records.rows[1].quality = 0x8000_0000),
    (Rule::Invented, "a time that no reading has", |records| records.rows[1].time += 1),
    (Rule::Invented, "a sensor that does not exist", |records| records.rows[1].sensor.push('x')),
    (Rule::Invented, "a raw message that nobody sent", |records| records.wholes[0].payload.push('x')),
    (Rule::Identity, "an identity with two readings", |records| records.rows[2].id = records.rows[1].id),
    (Rule::Identity, "an identity with two raw messages", |records| {
        let other = Whole { payload: "other".to_owned(), ..records.wholes[0].clone() };
        records.wholes.push(other);
    }),
    (Rule::Copy, "a copy under another identity", |records| {
        let mut copy = records.rows.last().unwrap().clone();
        copy.id.3 += 1;
        records.rows.push(copy);
    }),
    (Rule::Copy, "a copy of a raw message under another identity", |records| {
        let copy = Whole { id: "2".to_owned(), ..records.wholes[0].clone() };
        records.wholes.push(copy);
    }),
    (Rule::Order, "two rows in each other's place", |records| records.rows.swap(1, 2)),
    (Rule::Unreadable, "a batch without its table", |records| {
        records.unreadable.push("no such table".into());
    }),
    (Rule::Exit, "exit status 1", |records| records.exits.push("run 0: exit status: 1".into())),
    (Rule::Delayed, "a message behind a refused one", |records| records.delayed.push("raw 3".into())),
    (Rule::Untold, "a refusal that no verdict tells", |records| records.untold.push("raw 3".into())),
    (Rule::Arrival, "an arrival before the one before it", |records| {
        without_stamps(records);
        records.rows[1].time = records.rows[0].time - 1;
    }),
    (Rule::Clear, "a topic on an encrypted line", |records| records.in_clear = true),
    (Rule::Expired, "a message that was too old", |records| records.expired.push("raw".into())),
    (Rule::Alarm, "an alarm that is not told", |records| records.alarms = vec![Some(7.0)]),
    (Rule::Alarm, "an alarm that no reading raised", |records| {
        records.alarms = vec![Some(10.0)];
        let value = Value::Text("UNACK_ALM".to_owned());
        records.rows.push(Row { sensor: "plant/r0/a/alarm/HI".into(), value, ..records.rows[0].clone() });
    }),
    (Rule::Arrival, "an arrival by a clock that nobody has", |records| {
        without_stamps(records);
        records.rows[1].time = 0;
    }),
];

#[test]
fn every_rule_convicts_its_planted_fault() {
    for filter in FILTERS {
        assert!(judge(&good(filter)).is_empty(), "{filter:?}: {:?}", judge(&good(filter)));
        for (rule, what, plant) in FAULTS {
            let mut records = good(filter);
            plant(&mut records);
            let rules: Vec<Rule> = judge(&records).iter().map(|violation| violation.rule).collect();
            assert!(rules.contains(&rule), "{filter:?}, {what}: {rules:?} and not {rule:?}");
        }
    }
    let without = |rule: &Rule| !FAULTS.iter().chain(&windows::FAULTS).any(|(planted, ..)| planted == rule);
    assert_eq!(RULES.into_iter().filter(|rule| without(rule)).collect::<Vec<_>>(), [], "no fault is planted");
}

/// A copy that is marked, a batch that comes again, a loss that is counted and what a killed filter held are no faults.
#[test]
fn what_may_happen_is_not_convicted() {
    let mut records = good(Filter::None);
    let again: Vec<Row> = records.rows[3..9].to_vec();
    records.rows.extend(again.iter().cloned());
    records.rows.extend(again.into_iter().map(|row| Row { id: (7, 1, 2, row.id.3), pd: true, ..row }));
    assert!(judge(&records).is_empty(), "{:?}", judge(&records));
    records.wholes.clear();
    (records.dropped, records.dropped_before_last) = (1, 1);
    records.gaps = vec![gap(30, 30), gap(30, 30)];
    assert!(judge(&records).is_empty(), "{:?}", judge(&records));
    // After a stop it comes again and has grown.
    records.gaps.push(gap(30, 31));
    records.dropped = 2;
    assert!(judge(&records).is_empty(), "{:?}", judge(&records));

    let mut records = good(Filter::Door(0.1));
    records.rows.pop();
    let rules = |records: &Records| judge(records).iter().map(|v| v.rule).collect::<Vec<_>>();
    assert_eq!(rules(&records), [Rule::Lost; 9], "what the last row stood for");
    records.runs[0].killed = true;
    assert_eq!(rules(&records), [Rule::Lost; 9], "its PUBACK was to wait");
    records.runs[0].withholds = vec![false];
    assert_eq!(rules(&records), []);
    // Held over a stop, and sent again with its mark meanwhile.
    let mut held = good(Filter::Door(0.1));
    let copy = Row { id: (7, 1, 1, 0), pd: true, ..held.rows[1].clone() };
    held.rows.insert(0, copy);
    held.rows.iter_mut().skip(1).for_each(|row| row.id.3 += 1);
    assert_eq!(rules(&held), []);
    held.rows[0].pd = false;
    assert!(rules(&held).contains(&Rule::Copy));
    // A hub that is mended in the middle of an attempt takes a later batch first, once.
    let mut early = good(Filter::None);
    early.rows[5..].iter_mut().for_each(|row| row.batch /= 5);
    early.rows[0..20].rotate_right(5);
    assert!(rules(&early).contains(&Rule::Order));
    early.refusals = vec![1];
    assert_eq!(rules(&early), []);
    early.rows[20..30].rotate_right(5);
    assert!(rules(&early).contains(&Rule::Order));
    // A late one passes beside the stage, which holds on.
    let Content::Readings(readings) = &records.messages[29].content else { panic!("a reading") };
    let late = Reading { index: 30, time: Some(START + 500), beside: true, ..readings[0].clone() };
    records.rows.push(row(&late, 99));
    records.messages.push(Message { content: Content::Readings(vec![late]), ..records.messages[29].clone() });
    assert_eq!(rules(&records), []);
}

/// A wall clock that is set back in a run and between two, and one that is ahead.
#[test]
fn arrivals_by_a_clock_that_steps_are_not_convicted() {
    let mut records = good(Filter::None);
    without_stamps(&mut records);
    let arrivals = |records: &Records| judge(records).into_iter().filter(|v| v.rule == Rule::Arrival).count();
    assert_eq!(arrivals(&records), 0);
    records.rows.iter_mut().for_each(|row| row.time += 600_000);
    assert_eq!(arrivals(&records), 30);
    records.runs[0].offsets_ms = (-60_000, 600_000);
    assert_eq!(arrivals(&records), 0);
    records.rows[20..].iter_mut().for_each(|row| (row.id.2, row.time) = (2, row.time - 600_000));
    assert_eq!(arrivals(&records), 0);
}

/// The tolerance is that of the rules, and no more.
#[test]
fn a_tolerance_that_is_passed_is_a_loss() {
    for filter in [Filter::Deadband(0.5), Filter::Door(0.1)] {
        let mut records = good(filter);
        let Content::Readings(readings) = &mut records.messages[20].content else { panic!("a reading") };
        readings[0].value = Value::Float(5.6);
        records.rows.retain(|row| row.time != START + 20_000);
        let wrong = judge(&records);
        assert!(
            wrong.iter().any(|v| v.rule == Rule::Lost && v.what.contains("index: 20")),
            "{filter:?}: {wrong:?}"
        );
    }
}

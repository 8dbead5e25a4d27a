use std::collections::BTreeSet;

use super::*;
use crate::record::{Header, SCHEMA, sha256_hex};

const T0: i64 = 1_000_000;

fn raw(n: i64) -> Acked {
    Acked {
        class: Class::Raw,
        client: "a".into(),
        topic: "plant/raw/a".into(),
        sha256: sha256_hex(&n.to_le_bytes()),
        first_sent: T0 + n * 100,
        time: T0 + n * 100 + 40,
        reading: None,
    }
}

fn reading(event_time: i64, value: f64, quality: u32) -> Reading {
    Reading { sensor: "t".into(), event_time, value, text: None, quality }
}

fn filtered(event_time: i64, value: f64) -> Acked {
    Acked {
        class: Class::Filtered,
        client: "t".into(),
        topic: "plant/filtered/t".into(),
        reading: Some(reading(event_time, value, 0)),
        ..raw(1_000_000 + event_time)
    }
}

fn at_hub(ack: &Acked) -> Arrived {
    let topic = format!("site/{}", ack.topic);
    Arrived {
        class: ack.class,
        client: Some(ack.client.clone()),
        topic,
        sha256: ack.sha256.clone(),
        time: ack.first_sent + 300,
        id: Some(format!("g-{}", ack.first_sent)),
        pd: false,
        reading: ack.reading.clone(),
    }
}

/// Ten raw messages, all at the hub; five readings of which the first and the fourth were sent on.
fn good() -> Records {
    let mut acks: Vec<Acked> = (0..10).map(raw).collect();
    let readings: Vec<Acked> =
        [(1, 20.0), (2, 20.4), (3, 19.5), (4, 21.0), (5, 21.5)].map(|(at, value)| filtered(at, value)).into();
    let mut hub: Vec<Arrived> = acks.iter().map(at_hub).collect();
    hub.extend([at_hub(&readings[0]), at_hub(&readings[3])]);
    acks.extend(readings);
    let header = Header {
        schema: SCHEMA,
        seed: 7,
        raw_prefix: "site/".into(),
        tolerance: BTreeMap::from([("t".into(), 0.5)]),
        unfiltered: BTreeSet::new(),
    };
    Records { header, acks, hub }
}

fn verdict(records: &Records) -> Verdict {
    let published = BTreeMap::from([("a".to_owned(), 10), ("t".to_owned(), 5)]);
    judge(records, &Timeline::default(), &published)
}

fn lost(records: &Records) -> Vec<LostWhy> {
    verdict(records).lost.iter().map(|lost| lost.why).collect()
}

#[test]
fn a_good_drill_loses_nothing_and_counts_what_the_filter_suppressed() {
    let verdict = verdict(&good());
    assert_eq!(verdict.lost, []);
    assert_eq!((verdict.acknowledged, verdict.published, verdict.delivered_unique), (15, 15, 12));
    assert_eq!((verdict.represented, verdict.duplicates), (3, 0));
    assert_eq!(verdict.per_client["a"].delivered_unique, 10);
    assert_eq!(verdict.per_client["t"].delivered_unique, 2);
}

#[test]
fn promise_1_negative_control_a_raw_message_missing_at_the_hub_is_lost() {
    let mut records = good();
    records.hub.remove(4);
    let verdict = verdict(&records);
    assert_eq!(verdict.lost, [Lost { ack: 4, why: LostWhy::NotAtHub }]);
    assert_eq!(verdict.fates[4], Fate::Lost);
    assert_eq!(verdict.per_client["a"].lost, 1);
}

#[test]
fn promise_1_negative_control_one_changed_bit_of_a_raw_payload_is_a_loss() {
    let mut records = good();
    records.hub[2].sha256 = sha256_hex(b"another payload");
    assert_eq!(lost(&records), [LostWhy::NotAtHub]);
}

#[test]
fn promise_1_negative_control_a_raw_message_at_a_wrong_topic_is_a_loss() {
    let mut records = good();
    records.hub[2].topic = "site/plant/raw/b".into();
    assert_eq!(lost(&records), [LostWhy::NotAtHub]);
    records.hub[2].topic = "plant/raw/a".into();
    assert_eq!(lost(&records), [LostWhy::NotAtHub]);
}

#[test]
fn promise_1_negative_control_a_reading_beyond_the_tolerance_is_lost() {
    let mut records = good();
    records.acks[12].reading.as_mut().unwrap().value = 19.4;
    assert_eq!(lost(&records), [LostWhy::OutsideTolerance { delivered: 20.0, tolerance: 0.5 }]);
}

#[test]
fn promise_1_negative_control_a_delivered_value_that_was_changed_loses_all_it_stands_for() {
    let mut records = good();
    records.hub[11].reading.as_mut().unwrap().value = 23.0;
    assert_eq!(lost(&records).len(), 2);
}

#[test]
fn promise_1_negative_control_a_reading_of_another_quality_is_lost() {
    let mut records = good();
    records.acks[11].reading.as_mut().unwrap().quality = 0x8000_0000;
    assert_eq!(lost(&records), [LostWhy::QualityDiffers { delivered: 0 }]);
}

#[test]
fn promise_1_negative_control_a_reading_before_any_delivered_one_is_lost() {
    let mut records = good();
    records.acks[11].reading.as_mut().unwrap().event_time = 0;
    assert_eq!(lost(&records), [LostWhy::NothingEarlier]);
}

#[test]
fn promise_1_negative_control_an_unfiltered_reading_has_to_arrive_itself() {
    let mut records = good();
    assert_eq!(lost(&records), []);
    records.header.unfiltered.insert("t".into());
    assert_eq!(lost(&records), [LostWhy::NotAtHub; 3], "three readings of five are only represented");
}

#[test]
fn promise_1_negative_control_another_text_does_not_stand_for_a_reading() {
    let mut records = good();
    let text = |reading: &mut Option<Reading>, text: &str| {
        let reading = reading.as_mut().unwrap();
        (reading.value, reading.text) = (f64::NAN, Some(text.into()));
    };
    text(&mut records.acks[13].reading, "RUN");
    text(&mut records.hub[11].reading, "RUN");
    text(&mut records.acks[14].reading, "RUN");
    assert_eq!(lost(&records), []);
    text(&mut records.acks[14].reading, "STOP");
    assert_eq!(lost(&records), [LostWhy::TextDiffers]);
}

#[test]
fn promise_1_negative_control_a_sensor_without_a_tolerance_has_none() {
    let mut records = good();
    records.header.tolerance.clear();
    assert_eq!(lost(&records).len(), 3);
}

#[test]
fn the_stand_in_is_the_latest_by_event_time_whatever_order_they_arrived_in() {
    let mut records = good();
    records.hub.swap(10, 11);
    assert_eq!(lost(&records), []);
}

#[test]
fn not_a_number_is_represented_by_not_a_number_only() {
    let mut records = good();
    records.acks[11].reading.as_mut().unwrap().value = f64::NAN;
    assert_eq!(lost(&records).len(), 1);
    records.hub.push(at_hub(&records.acks[11]));
    // The NaN is at the hub now; what came after it and was suppressed is not represented by it.
    assert_eq!(verdict(&records).lost.iter().map(|lost| lost.ack).collect::<Vec<_>>(), [12]);
}

#[test]
fn promise_4_a_copy_is_recognised_by_its_identity_or_its_mark_and_by_nothing_else() {
    let mut records = good();
    let same_id = records.hub[0].clone();
    let marked = Arrived { id: Some("other".into()), pd: true, ..records.hub[1].clone() };
    let neither = Arrived { id: Some("other".into()), ..records.hub[2].clone() };
    let bare = Arrived { id: None, ..records.hub[3].clone() };
    records.hub.extend([same_id, marked, neither, bare]);
    let verdict = verdict(&records);
    assert_eq!((verdict.duplicates, verdict.duplicates_recognised), (4, 2));
    assert_eq!((verdict.lost.len(), verdict.delivered_unique), (0, 12));
    assert!(matches!(verdict.fates[0], Fate::Arrived { twice: true, .. }));
}

#[test]
fn the_puback_percentile_leaves_out_the_time_around_the_kill_and_nothing_else() {
    let mut records = good();
    records.acks = (0..1000).map(raw).collect();
    // Sent 0.9 s before the kill, in between, and 0.9 s after the restarted gateway accepts.
    for n in [491, 510, 529] {
        records.acks[n].time += 60_000;
    }
    let timeline =
        Timeline { killed_at: Some(T0 + 50_000), accepting_at: Some(T0 + 52_000), outages: vec![] };
    assert_eq!(puback_p99_ms(&records.acks, &timeline), Some(40));
    // Ten of the rest are late: 961 counted, the 99th percentile is the 10th from the end.
    for ack in records.acks.iter_mut().take(10) {
        ack.time += 5_000;
    }
    assert_eq!(puback_p99_ms(&records.acks, &timeline), Some(5_040));
    assert_eq!(puback_p99_ms(&records.acks, &Timeline::default()), Some(5_040));
    assert_eq!(puback_p99_ms(&[], &timeline), None);
}

#[test]
fn a_gateway_that_never_accepts_again_has_no_end_of_the_time_left_out() {
    let acks: Vec<Acked> = (0..100).map(raw).collect();
    let timeline = Timeline { killed_at: Some(T0), accepting_at: None, outages: vec![] };
    assert_eq!(puback_p99_ms(&acks, &timeline), None);
}

#[test]
fn catch_up_is_the_worst_of_all_outages() {
    let mut records = good();
    records.acks.truncate(5);
    records.hub.truncate(5);
    // The first message comes later behind the first outage, the last one behind the second.
    let outages = vec![(T0 + 10, T0 + 2_000), (T0 + 5_000, T0 + 6_000)];
    records.acks[3].first_sent = T0 + 4_000;
    for (hub, arrived_ms) in records.hub.iter_mut().zip([2_700, 2_900, 6_100, 10_000, 1_000]) {
        hub.time = T0 + arrived_ms;
    }
    let verdict = judge(&records, &Timeline { outages, ..Timeline::default() }, &BTreeMap::new());
    assert_eq!((verdict.first_after_ms, verdict.catch_up_ms), (Some(700), Some(4_000)));
}

/// What is left of a backlog behind the next outage has waited for the link, not for the gateway.
#[test]
fn the_next_outage_is_no_part_of_a_catch_up() {
    let mut records = good();
    records.acks.truncate(2);
    records.hub.truncate(2);
    let back_at = T0 + 2_000;
    (records.hub[0].time, records.hub[1].time) = (back_at + 500, back_at + 12_700);
    let timeline =
        Timeline { outages: vec![(T0, back_at), (back_at + 4_000, back_at + 12_000)], ..Timeline::default() };
    let verdict = judge(&records, &timeline, &BTreeMap::new());
    assert_eq!((verdict.first_after_ms, verdict.catch_up_ms), (Some(700), Some(4_700)));
}

#[test]
fn every_bound_fails_the_drill_alone() {
    let observed = Observed {
        gateway_rss_kib_max: 9_000,
        kills: 1,
        stall_noticed_ms: Some(4_000),
        ledger: Some(GatewayLedger { accepted: 15, delivered: 12, queued: 0, dropped: 3 }),
        ..Observed::default()
    };
    let good = verdict(&good());
    assert!(good.passed(&observed));
    let broken_verdicts = [
        Verdict { lost: vec![Lost { ack: 0, why: LostWhy::NotAtHub }], ..good.clone() },
        Verdict { puback_p99_ms: Some(PUBACK_P99_MS_MAX + 1), ..good.clone() },
        Verdict { puback_p99_ms: None, ..good.clone() },
        Verdict { published: 16, ..good.clone() },
        Verdict { published: 0, acknowledged: 0, ..good.clone() },
        Verdict { duplicates: 1, ..good.clone() },
    ];
    assert!(broken_verdicts.iter().all(|verdict| !verdict.passed(&observed)));
    let broken_observations = [
        Observed { kills: 0, ..observed.clone() },
        Observed { ledger: None, ..observed.clone() },
        Observed {
            ledger: Some(GatewayLedger { accepted: 1, ..GatewayLedger::default() }),
            ..observed.clone()
        },
        Observed { stall_noticed_ms: None, ..observed.clone() },
        Observed { gateway_rss_kib_max: 0, ..observed.clone() },
        Observed { gateway_rss_kib_max: 33 * 1024, ..observed.clone() },
    ];
    assert!(broken_observations.iter().all(|observed| !good.passed(observed)));
}

#![allow(clippy::unwrap_used, reason = "test code")]

use edge_bridge::bridge::Pack;
use edge_bridge::bridge::spool::{Identity, LeaseId};
use edge_bridge::wire::{Properties, Publish, QoS, Version};

use super::*;

fn leased(seq: u64) -> Leased {
    let time = i64::try_from(seq).unwrap();
    let reading = edge_codec::Reading { sensor: 0, time, value: edge_codec::Value::F64(21.5), quality: 0 };
    let payload = encode_row(&format!("line{}/temp", seq % 40), &reading).unwrap();
    let mut row = Row::new(Utf8::try_from("site7").unwrap(), payload);
    row.format = READING;
    let identity = Some(Identity { gateway: 1, lane: 1, epoch: 1, seq });
    Leased::new(LeaseId(seq), row, 0, 0, identity)
}

/// Rows that were sent and rows that were set aside.
fn packed(max_packet: usize) -> (Vec<LeaseId>, Vec<LeaseId>) {
    let (mut sent, mut aside) = (Vec::new(), Vec::new());
    let mut pack = BatchPack::new(Batches);
    for seq in 0..200 {
        pack.add(Now { up_ms: 0, wall_ms: 0 }, leased(seq));
    }
    while let Some(packing) = pack.poll(Now { up_ms: 5_000, wall_ms: 5_000 }, max_packet) {
        match packing {
            Packing::Message(packed) => sent.extend(packed.rows),
            Packing::Unsendable { rows, .. } => aside.extend(rows),
            Packing::Expired { rows } => assert_eq!(rows, [], "no row has an end"),
        }
    }
    (sent, aside)
}

#[test]
fn every_row_is_sent_or_set_aside_whatever_a_hub_takes() {
    let all: Vec<LeaseId> = (0..200).map(LeaseId).collect();
    assert_eq!(packed(100_000), (all.clone(), vec![]));
    assert_eq!(packed(400), (all.clone(), vec![]), "several messages");
    assert_eq!(packed(100), (vec![], all), "less than an empty batch takes");
}

#[test]
fn what_is_no_finite_number_is_refused() {
    let text = |text: &str| Utf8::try_from(text).unwrap();
    let mut sensors = Sensors { filters: Pipeline::from_toml(RULES).unwrap(), topic: text("site7") };
    let mut answer = |payload: &'static [u8]| {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text("line2/speed"),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(payload),
        };
        let message = Inbound::new(text("sensor"), Version::V5, &publish);
        sensors.ingest(Now { up_ms: 0, wall_ms: 0 }, &message)
    };
    for payload in ["21.5", " -3\n", "1e308"] {
        assert!(matches!(answer(payload.as_bytes()), Answer::Store(rows) if rows.len() == 1), "{payload}");
    }
    for payload in ["1e400", "NaN", "-inf", "", "21,5"] {
        let answer = answer(payload.as_bytes());
        assert!(
            matches!(answer, Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID)),
            "{payload}: {answer:?}"
        );
    }
    assert!(matches!(answer(b"\xff"), Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID)));
}

#![allow(clippy::unwrap_used, reason = "test code")]

use edge_bridge::bridge::Pack;
use edge_bridge::bridge::spool::{Identity, LeaseId};

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

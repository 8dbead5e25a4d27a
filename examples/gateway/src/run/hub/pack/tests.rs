use std::path::Path;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId};
use edge_bridge::bridge::{Pack, Packed};
use edge_bridge::wire::{PropertyId, ReasonCode, Value};
use edge_codec::{BatchId, Limits, Value as Reading};

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;

use super::super::batch::Head;
use super::super::compact::{EchoedTables, KeptTables};
use super::super::read_back;
use super::*;

const CONFIG: &str = r#"
[gateway]
id = "g"
[local]
listen = "127.0.0.1:1"
[hub]
url = "mqtt://hub"
[[route]]
match = "a/#"
to = "out"
format = "cbor"
batch_max = 4
batch_age = "300ms"
"#;

fn config(text: &str) -> Config {
    Config::parse(Path::new("g.toml"), text, &|_| None).unwrap().0
}

fn pack() -> BatchPack {
    pack_with(NextRoutes::default())
}

fn pack_with(next_routes: NextRoutes) -> BatchPack {
    let config = config(CONFIG);
    let compact =
        Compact::new(&config.routes, &config.id, None, EchoedTables::default(), &KeptTables::default(), &[]);
    BatchPack::new(RouteEncoder::new(&config.routes, compact).with_next_routes(next_routes))
}

fn at(up_ms: u64) -> Now {
    Now { up_ms, wall_ms: 0 }
}

fn reading(seq: u64) -> Leased {
    let row = ReadingRow {
        sensor: "s".into(),
        unit: "".into(),
        time: seq as i64,
        value: Reading::I64(seq as i64),
        quality: 0,
    };
    let mut row = Row::new(Utf8::from_static("out"), row.encode().unwrap());
    row.format = row_format(Format::Cbor);
    Leased::new(LeaseId(seq), row, 0, 0, Some(Identity { gateway: 1, lane: 1, epoch: 1, seq }))
}

fn raw(seq: u64) -> Leased {
    let row = Row::new(Utf8::from_static("raw"), Bytes::from_static(b"x"));
    Leased::new(LeaseId(seq), row, 0, 0, Some(Identity { gateway: 1, lane: 1, epoch: 1, seq }))
}

fn poll(pack: &mut BatchPack, now: Now) -> Option<Packed> {
    match pack.poll(now, 1 << 20)? {
        Packing::Message(packed) => Some(packed),
        other => panic!("{other:?}"),
    }
}

/// The numbers that the batch itself says.
fn seqs(packed: &Packed) -> Vec<u64> {
    let mut batch = edge_codec::cbor::decode(&packed.publish.payload, &Limits::default()).unwrap();
    let mut seqs = Vec::new();
    while let Some(seq) = batch.next_seq() {
        batch.next().unwrap().unwrap();
        seqs.push(seq);
    }
    seqs
}

fn ids(packed: &Packed) -> Vec<u64> {
    packed.rows.iter().map(|row| row.0).collect()
}

#[test]
fn a_full_batch_goes_at_once_and_an_open_one_when_it_is_due() {
    let mut pack = pack();
    (1..=6).for_each(|seq| pack.add(at(10), reading(seq)));
    let full = poll(&mut pack, at(10)).unwrap();
    assert_eq!((seqs(&full), ids(&full)), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    assert_eq!(full.publish.properties.str(PropertyId::ContentType), Some("application/cbor"));
    assert!(poll(&mut pack, at(309)).is_none());
    assert_eq!(pack.next_deadline(), Some(310));
    assert_eq!(seqs(&poll(&mut pack, at(310)).unwrap()), [5, 6]);
    assert_eq!((pack.next_deadline(), pack.held_bytes()), (None, 0));
}

#[test]
fn changed_routes_hold_for_readings_that_wait_and_for_those_that_join_them() {
    let next_routes = NextRoutes::default();
    let mut pack = pack_with(next_routes.clone());
    let changed = |age: &str| next_routes.set(config(&CONFIG.replace("300ms", age)).routes);
    changed("10m");
    assert!(poll(&mut pack, at(0)).is_none());
    (1..=2).for_each(|seq| pack.add(at(10), reading(seq)));
    assert!(poll(&mut pack, at(5_000)).is_none());
    assert_eq!(pack.next_deadline(), Some(600_010));
    changed("1h");
    assert!(poll(&mut pack, at(600_010)).is_none());
    assert_eq!(pack.next_deadline(), Some(3_600_010));
    changed("200ms");
    assert_eq!(seqs(&poll(&mut pack, at(600_020)).unwrap()), [1, 2]);
    changed("10m");
    assert!(poll(&mut pack, at(700_000)).is_none());
    pack.add(at(700_000), reading(3));
    // A batch whose route is gone has the limits that one begun now would have.
    next_routes.set(Vec::new());
    assert!(poll(&mut pack, at(700_199)).is_none());
    pack.add(at(700_199), reading(4));
    assert_eq!(seqs(&poll(&mut pack, at(700_200)).unwrap()), [3, 4]);
    assert_eq!((pack.next_deadline(), pack.held_bytes()), (None, 0));
}

/// Promise 4: rows of other routes lie between, and every reading still has its own number.
#[test]
fn raw_rows_go_at_once_and_leave_holes_that_the_batch_names() {
    let mut pack = pack();
    for seq in 1..=8 {
        pack.add(at(0), if seq % 2 == 0 { raw(seq) } else { reading(seq) });
    }
    let first = poll(&mut pack, at(0)).unwrap();
    assert_eq!(first.publish.properties.user_property("edge-id"), Some("0000000000000001-1-1-2"));
    assert_eq!(seqs(&poll(&mut pack, at(0)).unwrap()), [1, 3, 5, 7]);
    let raws: Vec<_> = (0..3).map(|_| poll(&mut pack, at(0)).unwrap()).collect();
    assert_eq!(raws.iter().flat_map(ids).collect::<Vec<_>>(), [4, 6, 8]);
}

#[test]
fn raw_rows_that_keep_coming_do_not_hold_up_a_finished_batch() {
    let mut pack = pack();
    (1..=4).for_each(|seq| pack.add(at(0), reading(seq)));
    let sent: Vec<_> = (5..8)
        .map(|seq| {
            pack.add(at(0), raw(seq));
            ids(&poll(&mut pack, at(0)).unwrap())
        })
        .collect();
    assert_eq!(sent, [vec![5], vec![1, 2, 3, 4], vec![6]]);
}

#[test]
fn rows_of_another_start_or_with_the_mark_are_never_in_one_batch() {
    let mut pack = pack();
    pack.add(at(0), reading(1));
    let mut marked = reading(2);
    marked.row.possible_duplicate = true;
    pack.add(at(0), marked);
    let mut older = reading(3);
    older.identity = Some(Identity { gateway: 1, lane: 1, epoch: 0, seq: 3 });
    pack.add(at(0), older);
    let batches: Vec<_> = (0..3).map(|_| ids(&poll(&mut pack, at(300)).unwrap())).collect();
    assert_eq!(batches, [[1], [2], [3]]);
}

/// Promise 7: the mark of a possible duplicate, a restart and a change of the format cut a batch, and nothing overtakes.
#[test]
fn promise_7_rows_of_a_lane_leave_in_order_whatever_their_marks() {
    for seed in 0..200 {
        let (mut rng, mut pack, mut sent) = (outage_drill::Rng::new(seed), pack(), Vec::new());
        let (mut epoch, mut marked, mut format, mut now_ms) = (1, false, Format::Cbor, 0);
        for seq in 1..=60 {
            marked ^= rng.between(0, 4) == 0;
            epoch += u32::from(rng.between(0, 20) == 0);
            if rng.between(0, 20) == 0 {
                format = if format == Format::Cbor { Format::Json } else { Format::Cbor };
            }
            let mut row = reading(seq);
            row.row.possible_duplicate = marked;
            row.row.format = row_format(format);
            row.identity = Some(Identity { gateway: 1, lane: 1, epoch, seq });
            pack.add(at(now_ms), row);
            now_ms += rng.between(0, 60);
            if rng.between(0, 3) == 0 {
                while let Some(packed) = poll(&mut pack, at(now_ms)) {
                    sent.extend(ids(&packed));
                }
            }
        }
        while let Some(packed) = poll(&mut pack, at(now_ms + 300)) {
            sent.extend(ids(&packed));
        }
        assert_eq!(sent, (1..=60).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_row_that_comes_back_later_starts_a_batch_of_its_own() {
    let mut pack = pack();
    // Two parts in turns, as live rows and a backlog come.
    for seq in [50, 2, 51, 3] {
        pack.add(at(0), reading(seq));
    }
    assert!(poll(&mut pack, at(0)).is_none());
    pack.add(at(0), reading(1));
    assert_eq!(seqs(&poll(&mut pack, at(0)).unwrap()), [50, 51], "closed by a third that does not rise");
    assert_eq!(seqs(&poll(&mut pack, at(300)).unwrap()), [2, 3]);
    assert_eq!(seqs(&poll(&mut pack, at(300)).unwrap()), [1]);
}

#[test]
fn what_the_hub_takes_is_the_limit_and_what_never_fits_is_given_up() {
    let mut pack = pack();
    let mut large = reading(1);
    let row = ReadingRow {
        sensor: "s".into(),
        unit: "".into(),
        time: 0,
        value: Reading::Text("x".repeat(1_000).into()),
        quality: 0,
    };
    large.row.payload = row.encode().unwrap();
    pack.add(at(0), large);
    pack.add(at(0), reading(2));
    let mut damaged = reading(3);
    damaged.row.payload = Bytes::from_static(b"?");
    pack.add(at(0), damaged);
    let mut given_up = Vec::new();
    let mut sent = Vec::new();
    while let Some(packing) = pack.poll(at(300), 600) {
        match packing {
            Packing::Message(packed) => {
                assert!(packed.publish.payload.len() < 600);
                sent.extend(ids(&packed));
            }
            Packing::Unsendable { topic, rows, reason } => {
                assert_eq!(topic, reading(2).row.topic);
                given_up.push((rows[0].0, reason));
            }
            Packing::Expired { .. } => panic!("nothing expires here"),
        }
    }
    assert_eq!(sent, [2]);
    given_up.sort_by_key(|(row, _)| *row);
    assert_eq!(given_up, [(1, ReasonCode::PACKET_TOO_LARGE), (3, ReasonCode::PAYLOAD_FORMAT_INVALID)]);
    assert_eq!(pack.held_bytes(), 0);
}

/// Rows that waited in an open batch until their time to live ended: the rest of the batch goes, with the end of its own rows.
#[test]
fn readings_that_expired_in_a_batch_are_left_out() {
    let mut pack = pack();
    for (seq, expires_ms) in [(1, Some(300)), (2, None), (3, Some(301))] {
        let mut row = reading(seq);
        row.expires_ms = expires_ms;
        pack.add(at(0), row);
    }
    let (mut expired, mut sent) = (Vec::new(), Vec::new());
    while let Some(packing) = pack.poll(at(300), 600) {
        match packing {
            Packing::Message(packed) => {
                assert_eq!(packed.expires_ms, Some(301));
                sent.extend(ids(&packed));
            }
            Packing::Expired { rows } => expired.extend(rows.iter().map(|row| row.0)),
            Packing::Unsendable { .. } => panic!("every row is good"),
        }
    }
    assert_eq!((expired, sent), (vec![1], vec![2, 3]));
}

#[test]
fn a_dead_letter_goes_up_as_it_came_under_a_topic_of_its_own() {
    let mut pack = pack();
    let mut letter = raw(1);
    letter.row.dead_letter = Some(ReasonCode::PAYLOAD_FORMAT_INVALID);
    pack.add(at(0), letter);
    let packed = poll(&mut pack, at(0)).unwrap();
    assert_eq!(
        (packed.publish.topic.as_str(), packed.publish.payload.as_ref()),
        ("dead-letter/raw", &b"x"[..])
    );
    assert!(packed.publish.properties.user_property("edge-reason").is_some());
}

#[test]
fn a_stop_gives_every_row_back_once() {
    let mut pack = pack();
    (1..=6).for_each(|seq| pack.add(at(0), reading(seq)));
    (7..=9).for_each(|seq| pack.add(at(0), raw(seq)));
    let first = ids(&poll(&mut pack, at(0)).unwrap());
    let rest = pack.take_rows().into_iter().map(|row| row.0);
    let mut rows: Vec<_> = first.into_iter().chain(rest).collect();
    rows.sort_unstable();
    assert_eq!(rows, (1..=9).collect::<Vec<_>>());
    assert_eq!((pack.held_bytes(), pack.next_deadline()), (0, None));
}

/// An encoder that finds that its own batch cannot be read sends a form that every reader takes: nothing is lost, nothing goes twice.
#[test]
fn readings_of_an_unreadable_batch_go_as_json_with_their_numbers_and_rows() {
    let leases: Vec<Leased> = [3, 4, 900].map(reading).into();
    let own: Vec<&Leased> = leases.iter().collect();
    let rows: Vec<_> = own.iter().map(|l| (l.id.0, ReadingRow::decode(&l.row.payload).unwrap())).collect();
    let id = Some(BatchId { gateway: 1, lane: 1, epoch: 1, first_seq: 3 });
    let head = Head { id, possible_duplicate: true };
    let [Packing::Message(packed)] = &messages::as_json(&leases[0].row.topic, head, &rows, &own, 10_000)[..]
    else {
        panic!()
    };
    assert_eq!(packed.rows, [LeaseId(3), LeaseId(4), LeaseId(900)]);
    let content_type = packed.publish.properties.iter().find(|p| p.id == PropertyId::ContentType);
    assert_eq!(content_type.unwrap().value, Value::Utf8("application/json"));
    let read = edge_codec::Format::Json.decode(&packed.publish.payload, &Limits::default());
    assert_eq!(read_back::compare(read, head, &rows), Ok(()));
}

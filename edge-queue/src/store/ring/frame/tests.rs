use super::*;

pub(in super::super) fn sample() -> Head {
    Head {
        kind: Kind::Records,
        encrypted: false,
        lane: 1,
        closed: false,
        ends: true,
        pages: 1,
        slot: 3,
        gateway: 0x1234_5678_9abc_def0,
        generation: 17,
        epoch: 4,
        part: 0,
        commit: 99,
        counter: 55,
        base: 54,
        first_seq: 1000,
        last_seq: 1009,
        rows: 10,
        body_len: 0,
        weight: 12,
        rows_before: 900,
        weight_before: 950,
        synced: 97,
    }
}

/// Makes both checksums of a changed frame good again.
pub(in super::super) fn fix(frame: &mut [u8]) {
    let crc = body_crc(frame);
    set(frame, BODY_CRC_AT, &crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..HEAD_CRC_AT]);
    set(frame, HEAD_CRC_AT, &crc.to_le_bytes());
}

#[test]
fn a_frame_of_any_size_comes_back() {
    for len in [0, 1, FIRST_ROOM, FIRST_ROOM + 1, FIRST_ROOM + NEXT_ROOM, 70_000] {
        let body: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let mut out = vec![0xee; PAGE];
        let head = sample().seal(&body, &mut out);
        let mut frame = out.split_off(PAGE);
        let read = Head::decode(&frame[..PAGE]).unwrap();
        assert_eq!(read, head);
        assert!(read.is_whole(&frame));
        into_body(&read, &mut frame);
        assert!(frame == body, "{len}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut frame = Vec::new();
    let head = sample().seal(&[7; 6000], &mut frame);
    for at in 0..frame.len() {
        let mut bad = frame.clone();
        bad[at] ^= 1 << (at % 8);
        let whole = Head::decode(&bad).is_some_and(|h| h == head && h.is_whole(&bad));
        // The four reserved bytes behind the header's CRC are covered by the body's.
        assert!(!whole || (HEAD_CRC_AT + 4..HEAD).contains(&at), "byte {at}");
    }
}

#[test]
fn a_header_with_one_wrong_byte_still_resembles_its_life_and_another_life_does_not() {
    let mut frame = Vec::new();
    let head = sample().seal(&[7; 100], &mut frame);
    let last = Head { commit: head.commit - 1, ..head };
    let resembles = |page: &[u8]| Head::resembles(page, &last, head.epoch);
    for at in 0..HEAD {
        let mut bad = frame.clone();
        bad[at] = !bad[at];
        assert!(resembles(&bad), "byte {at}");
    }
    let other = Head { slot: head.slot + 1, generation: head.generation + 1, ..last };
    assert!(!Head::resembles(&frame, &other, head.epoch));
    assert!(!Head::resembles(&frame, &head, head.epoch + 1), "older than the last");
    assert!(!resembles(&[0; PAGE]));
}

#[test]
fn a_payload_never_stands_where_a_header_could() {
    let mut fake = Vec::new();
    sample().seal(b"planted", &mut fake);
    let body: Vec<u8> = fake.iter().copied().cycle().take(60_000).collect();
    let mut frame = Vec::new();
    sample().seal(&body, &mut frame);
    for page in frame.chunks(PAGE).skip(1) {
        assert_eq!(Head::decode(page), None);
        assert_eq!(&page[..4], MARK_MAGIC);
    }
}

#[test]
fn a_number_out_of_range_makes_a_whole_header_unbelieved() {
    type Change = fn(&mut Head);
    let wrong: [(&str, Change); 12] = [
        ("pages", |h| h.pages = 2),
        ("body", |h| h.body_len = 5000),
        ("base", |h| h.base = h.counter + 1),
        ("counter", |h| h.counter = NUMBER_MAX + 1),
        ("commit", |h| h.commit = NUMBER_MAX + 1),
        ("generation", |h| h.generation = NUMBER_MAX + 1),
        ("epoch", |h| h.epoch = u32::MAX / 2),
        ("last row", |h| (h.first_seq, h.last_seq) = (NUMBER_MAX - 20, NUMBER_MAX + 1)),
        ("rows", |h| h.rows = 11),
        ("rows before", |h| h.rows_before = NUMBER_MAX + 1),
        ("weight before", |h| h.weight_before = NUMBER_MAX + 1),
        ("weight", |h| h.weight = NUMBER_MAX + 1),
    ];
    let decoded = |change: Change| {
        let mut frame = Vec::new();
        let mut head = sample().seal(&[7; 100], &mut frame);
        change(&mut head);
        head.write_fields(&mut frame);
        fix(&mut frame);
        Head::decode(&frame)
    };
    assert!(decoded(|h| h.epoch = u32::MAX / 2 - 1).is_some());
    for (name, change) in wrong {
        assert_eq!(decoded(change), None, "{name}");
    }
}

#[test]
fn a_further_page_is_told_by_its_mark_and_its_number() {
    let mut frame = Vec::new();
    sample().seal(&[7; 9000], &mut frame);
    for (n, page) in frame.chunks(PAGE).enumerate() {
        for asked in 1..3 {
            assert_eq!(is_further_page(page, asked), n == asked as usize, "page {n} as {asked}");
        }
    }
    let unmarked = [&[0; 4], &frame[PAGE + 4..2 * PAGE]].concat();
    assert!(!is_further_page(&unmarked, 1));
}
